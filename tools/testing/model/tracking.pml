/*
 * Range tracking of mm/mmu_notifier.c, as a model for spin.
 *
 * One subscription S with a driver that inserts it, maps a page by the
 * collision-retry protocol, and removes it; two invalidators, of two ranges each.
 * What the kernel does under subscriptions->lock is one atomic step here, all else
 * interleaves. The page tables are one entry, and a page is a number that is not
 * used twice. Not here: failing starts, exit, the two-sided protocol, and other
 * subscriptions than S, which only let a walk take its time before it is at S.
 *
 * It checks that
 * - no mapping of a freed page survives: assert in the step that frees it, and in
 *   the one that maps it,
 * - S is not touched after its removal returned: assert in each callback,
 * - no wake-up is lost, everything ends: spin reports a state in which somebody
 *   sleeps for ever, as an invalid end state,
 * - with -DLIVE, where the invalidators never stop, that the reader and the
 *   remover get through: the ltl formulas, with weak fairness.
 *
 * Each of these breaks it, and has to be found (./build.sh model):
 *   DEFERRED_INSERT	S comes into the tree when all ranges have ended
 *   SHARED_NUMBER	ranges that are active together have one number
 *   REREAD		read_begin returns what it finds after the wait
 *   EARLY_WAKE		who ends a range wakes first, and takes it off then
 *   NEWEST_WAKES_NOT	the end of the newest range that is waited for wakes nobody
 *   EARLY_UNPIN	the pin is dropped before the finish pass
 *   NO_WAIT		read_begin does not wait
 *   REPIN		what is being removed is pinned again (with -DLIVE)
 *   EXTENDED		read_begin waits for newer ranges as well (with -DLIVE)
 */
#define INVALIDATORS	2
#define ROUNDS		2
#ifdef LIVE
/* No numbers, which would be without end: who is newer than the reader is. */
#define NEXT(n)		0
#define NEWER(i)	newer[i]
#define SOMEBODY_WAITS	waited[me]
#define OLDER		true
#else
#define NEXT(n)		(n + 1)
/* S was inserted before the range began. */
#define OLDER		(inserted < seq[me])
#define NEWER(i)	(seq[i] > newest)
#ifdef NEWEST_WAKES_NOT
#define SOMEBODY_WAITS	(seq[me] < newest_waited)
#else
#define SOMEBODY_WAITS	(seq[me] <= newest_waited)
#endif
#endif
#ifdef EXTENDED
/* Or it would sleep, and not starve. */
#undef SOMEBODY_WAITS
#define SOMEBODY_WAITS	true
#endif

/* subscriptions */
byte invalidate_seq = 1;
byte newest_waited;
/* active_ranges: who is on it, and with what; here all overlap S or do not */
bool linked[INVALIDATORS];
bool overlaps[INVALIDATORS];
byte seq[INVALIDATORS];
bool newer[INVALIDATORS];
bool waited[INVALIDATORS];

/* S */
bool in_tree;
bool deferred;
bool removing;
byte pins;
byte sub_seq;
byte inserted;
bool memory;		/* S is memory of the driver */

/* the sleeper on subscriptions->wq: there is one driver */
bool queued;

/* the page tables, and the driver's */
byte pte = 1;
byte spte;
byte last_page = 1;
bool user_lock;

/* for the formulas */
bool reading;
bool in_remove;

#ifdef LIVE
/* A mutex lets everybody in some day, which weak fairness does not know. */
inline lock_user() { skip }
inline unlock_user() { skip }
#else
inline lock_user() { atomic { !user_lock; user_lock = true } }
inline unlock_user() { user_lock = false }
#endif
inline wake() { queued = false }

#ifdef EXTENDED
#define WAITED_FOR(i)	(linked[i] && overlaps[i])
#else
#define WAITED_FOR(i)	(linked[i] && overlaps[i] && !NEWER(i))
#endif
#define IS_ACTIVE	(WAITED_FOR(0) || WAITED_FOR(1))

/* mn_itree_pin(): S, if the walk is at it */
inline pin()
{
	if
#ifdef REPIN
	:: overlaps[me] && in_tree && OLDER -> pins++; pinned = true
#else
	:: overlaps[me] && in_tree && OLDER && !removing -> pins++; pinned = true
#endif
	:: else
	fi
}

inline unpin()
{
	atomic { pins--; must_wake = (pins == 0 && removing) };
	if
	:: must_wake -> wake()
	:: else
	fi
}

proctype invalidator(byte me)
{
	bool pinned, must_wake, looked;
	byte round;

	do
	:: round == ROUNDS -> break
	:: else ->
#ifndef LIVE
		round++;
#endif
		/* mn_itree_inv_start_range() */
		atomic {
			if
			:: overlaps[me] = true
			:: overlaps[me] = false
			fi;
#ifdef SHARED_NUMBER
			if
			:: linked[1 - me]
			:: else -> invalidate_seq = NEXT(invalidate_seq)
			fi;
#else
			invalidate_seq = NEXT(invalidate_seq);
#endif
			seq[me] = invalidate_seq;
			linked[me] = true;
			newer[me] = true;
			waited[me] = false;
			pinned = false;
			looked = false;
			/* The walk is at S now, or at another one first. */
			if
			:: pin(); looked = true
			:: skip
			fi
		};
		if
		:: looked
		:: else -> atomic { pin() }
		fi;
		if
		:: pinned ->
			/* the first pass */
			assert(memory);
			lock_user();
			sub_seq = seq[me];
			spte = 0;
			unlock_user();
#ifdef EARLY_UNPIN
			unpin();
			assert(memory);
#else
			/* the finish pass */
			assert(memory);
			unpin();
#endif
		:: else
		fi;
		/* between start and end: the page goes */
		if
		:: overlaps[me] ->
#ifndef LIVE
			atomic {
				assert(pte == 0 || spte != pte);
				pte = 0
			}
#else
			pte = 0
#endif
		:: else
		fi;
		/* mn_itree_inv_end() */
#ifdef EARLY_WAKE
		if
		:: SOMEBODY_WAITS -> wake()
		:: else
		fi;
		linked[me] = false
#else
		atomic { linked[me] = false; must_wake = SOMEBODY_WAITS;
			if
			:: deferred && !linked[1 - me] -> deferred = false; in_tree = true
			:: else
			fi
		};
		if
		:: must_wake -> wake()
		:: else
		fi
#endif
	od
}

/* A fault of the CPU */
inline fault()
{
	atomic {
		if
		:: pte == 0 ->
#ifdef LIVE
			pte = 1
#else
			last_page++;
			pte = last_page
#endif
		:: else
		fi
	}
}

proctype driver()
{
	byte s, newest, page;
	bool must_wait, done;

	/* __mmu_interval_notifier_insert() */
	atomic {
		memory = true;
		invalidate_seq = NEXT(invalidate_seq);
		sub_seq = invalidate_seq;
		inserted = invalidate_seq;
#ifdef DEFERRED_INSERT
		if
		:: linked[0] || linked[1] -> deferred = true
		:: else -> in_tree = true
		fi
#else
		in_tree = true
#endif
	};

	do
	:: done -> break
	:: else ->
		/* mmu_interval_read_begin() */
		reading = true;
		atomic {
			s = sub_seq;
			newest = invalidate_seq;
			newer[0] = false;
			newer[1] = false;
			must_wait = IS_ACTIVE;
			if
			:: must_wait ->
				newest_waited = newest;
				waited[0] = true;
				waited[1] = true
			:: else
			fi
		};
#ifndef NO_WAIT
		if
		:: must_wait ->
			do
			:: queued = true;	/* prepare_to_wait() */
				if
				:: atomic { !IS_ACTIVE -> queued = false }; break
				:: atomic { IS_ACTIVE -> skip };
					!queued	/* schedule() */
				fi
			od
		:: else
		fi;
#endif
#ifdef REREAD
		s = sub_seq;
#endif
		reading = false;
		fault();
		page = pte;
		lock_user();
		if
		:: sub_seq == s && page != 0 ->
			atomic {
#ifndef LIVE
				assert(page == pte);
#endif
				spte = page;
				done = true
			}
		:: else
#ifdef LIVE
			/* Whether it succeeds in the end is not promised. */
			-> done = true
#endif
		fi;
		unlock_user()
	od;

	/* The driver drops what it has mapped, then takes S off. */
	lock_user();
	spte = 0;
	unlock_user();

	/* mmu_interval_notifier_remove() */
	in_remove = true;
	do
	:: queued = true;
		atomic {
			removing = true;
			if
			:: pins == 0 -> in_tree = false; deferred = false; queued = false; done = true
			:: else -> done = false
			fi
		};
		if
		:: done -> break
		:: else -> !queued
		fi
	od;
	in_remove = false;
	memory = false
}

init {
	atomic {
		run invalidator(0);
		run invalidator(1);
		run driver()
	}
}

#ifdef LIVE
ltl progress { [] (reading -> <> !reading) && [] (in_remove -> <> !in_remove) }
#endif
