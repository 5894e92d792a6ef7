
/* Mistakes that ./build.sh check plants at the end of mm/mmu_notifier.c: if one
 * of its checkers does not find its own, it did not look.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

/* W=1: -Wunused-const-variable. */
static const int mn_planted_const = 1;

/**
 * mn_planted_doc() - kernel-doc: an argument that is not there
 * @missing: this one
 */
void mn_planted_doc(void);
void mn_planted_doc(void)
{
}

/* W=2: -Wshadow. */
int mn_planted_shadow(int a);
int mn_planted_shadow(int a)
{
	{
		int a = 1;

		return a;
	}
}

/* sparse: dereference of noderef expression. */
int mn_planted_user(int __user *p);
int mn_planted_user(int __user *p)
{
	return *p;
}

/* coccinelle: ifnullfree.cocci. */
void mn_planted_free(void *p);
void mn_planted_free(void *p)
{
	if (p)
		kfree(p);
}
