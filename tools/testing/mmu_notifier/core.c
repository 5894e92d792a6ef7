// SPDX-License-Identifier: GPL-2.0
/* The core, unmodified, and what only this file can look at. */
#include "device.h"
#include <core/has.h>
#include <core/mmu_notifier.c>

static void check_memory(const void *p, size_t size, const char *what)
{
	const char *error = memory_error(p, size);

	if (error)
		fail("%s has a pointer to memory %s", what, error);
}

static void check_list(struct mmu_notifier_subscriptions *subscriptions)
{
	struct hlist_node **pprev = &subscriptions->list.first;
	unsigned int n = 0, loop = 0;
	struct mmu_notifier *subscription;
	struct hlist_node *node;

	for (node = *pprev; node; pprev = &node->next, node = node->next) {
		subscription = container_of(node, struct mmu_notifier, hlist);
		check_memory(subscription, sizeof(*subscription), "the list");
		if (node->pprev != pprev || ++loop > 16)
			fail("the list is corrupted");
		if (!ledger_allows(subscription))
			fail("a notifier is on the list that is not registered");
		n += ledger_demands(subscription);
	}
	if (n < ledger_demanded(false))
		fail("a notifier is registered, and not on the list");
}

static unsigned int check_tree(struct rb_node *rb, struct rb_node *parent,
			       unsigned long *max)
{
	struct interval_tree_node *node;
	unsigned long left = 0, right = 0;
	struct mmu_interval_notifier *sub;
	unsigned int n;

	*max = 0;
	if (!rb)
		return 0;
	node = container_of(rb, struct interval_tree_node, rb);
	sub = container_of(node, struct mmu_interval_notifier, interval_tree);
	check_memory(sub, sizeof(*sub), "the tree");
	if (rb_parent(rb) != parent)
		fail("the tree is corrupted");
	if (!ledger_allows(sub))
		fail("a notifier is in the tree that is not inserted");
	n = check_tree(rb->rb_left, rb, &left) + check_tree(rb->rb_right, rb, &right);
	*max = max(node->last, max(left, right));
	if (node->__subtree_last != *max)
		fail("the tree is corrupted: what it says about its ends");
	return n + ledger_demands(sub);
}

#ifdef HAVE_WINDOWS
static ORACLE struct mmu_notifier_subscriptions *settled(void)
{
	struct mmu_notifier_subscriptions *subscriptions;

	if (!mm || memory_error(mm, sizeof(*mm)))
		return NULL;
	subscriptions = mm->notifier_subscriptions;
	if (!subscriptions || memory_error(subscriptions, sizeof(*subscriptions)))
		return NULL;
	/* In a critical section they may be half changed. */
	return subscriptions->lock.writer ? NULL : subscriptions;
}

/* Whether the core knows it, and everything else, well enough to be asked. */
ORACLE bool core_is_settled(void)
{
	struct mmu_notifier_subscriptions *subscriptions = settled();

	return subscriptions && subscriptions->tracked;
}

static ORACLE bool is_in_tree(struct rb_node *rb, const struct rb_node *wanted)
{
	return rb && (rb == wanted || is_in_tree(rb->rb_left, wanted) ||
		      is_in_tree(rb->rb_right, wanted));
}

ORACLE bool core_has(const void *notifier)
{
	const struct mmu_interval_notifier *sub = notifier;

	return is_in_tree(settled()->itree.rb_root.rb_node, &sub->interval_tree.rb);
}

ORACLE bool core_lists(const void *notifier)
{
	const struct hlist_node *node = settled()->list.first;

	while (node && container_of(node, struct mmu_notifier, hlist) != notifier)
		node = node->next;
	return node;
}

/* The ranges on the list, oldest first: the one after @range, or NULL */
ORACLE const struct mmu_notifier_range *core_next(const struct mmu_notifier_range *range)
{
	struct list_head *list = &settled()->active_ranges;
	struct list_head *next = range ? range->active.next : list->next;
	const struct mmu_notifier_range *found;

	if (next == list)
		return NULL;
	found = container_of(next, struct mmu_notifier_range, active);
	check_memory(found, sizeof(*found), "the list of ranges");
	if (range && range->seq >= found->seq)
		fail("the list of ranges is not sorted");
	return found;
}

ORACLE u64 core_seq(const struct mmu_notifier_range *range)
{
	return range->seq;
}
#else
ORACLE bool core_is_settled(void) { return false; }
ORACLE u64 core_seq(const struct mmu_notifier_range *range) { return 0; }
ORACLE bool core_has(const void *notifier) { return false; }
ORACLE bool core_lists(const void *notifier) { return false; }
ORACLE const struct mmu_notifier_range *core_next(const struct mmu_notifier_range *range)
{
	return NULL;
}
#endif

void validate(void)
{
	struct mmu_notifier_subscriptions *subscriptions;
	unsigned long max;

	if (!mm || memory_error(mm, sizeof(*mm)))
		return;
	subscriptions = mm->notifier_subscriptions;
	if (!subscriptions)
		return;
	check_memory(subscriptions, sizeof(*subscriptions), "the mm");
	/* In a critical section they may be half changed. */
	if (subscriptions->lock.writer)
		return;
	check_list(subscriptions);
	if (check_tree(subscriptions->itree.rb_root.rb_node, NULL, &max) <
	    ledger_demanded(true))
		fail("a notifier is inserted, and not in the tree");
	ledger_observe();
}
