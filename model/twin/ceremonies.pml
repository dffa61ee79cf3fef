/*
 * Ceremonies, custody's windows, shares and rekey, in Promela: a second reading of spec/alphabet.md, written by hand
 * from its rules (CER-1 to CER-7, KEY-1 to KEY-3, TIME-1). README.md says how its counts correspond to the model's.
 *
 * An instance is chosen by macros: N nodes, C custodians, T shares needed, and the parts WITH_REKEY, WITH_OUTAGE,
 * WITH_RESTART, WITH_TIME (0 or 1 each). `ceremony` is always on. JUDGED adds the assertions of claims.pml.
 *
 * One process, one loop, every action one d_step: so each state is one assignment of the variables, and each transition
 * is one action that changes it. A step without effect, refused or accepted (GEN-2), is not enabled: each guard says
 * "something changes".
 */

#if N < 1 || N > 2 || C < 2 || C > 5 || T < 2 || T > C
#error "an instance has 1 or 2 nodes and 2 to 5 custodians, and needs from 2 shares to all of them"
#endif
#if N > 1 && WITH_REKEY
#error "two nodes share one store: whose candidate an acknowledgement is for, the alphabet does not say"
#endif

#include "mutations.pml"

/* Sets of custodians are masks: bit i is custodian i. */
#define ONE(i) (1 << (i))
#define EVERY ((1 << C) - 1)
#define HAS(set, i) (((set) >> (i)) & 1)
#define SIZE(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))

/* What a ceremony is for, or how far it is. */
#define NO_CEREMONY 0
#define UNSEAL 1
#define REKEYING 2
#define REKEY_ACKS 3

/* Custody's window for a node. */
#define NO_WINDOW 0
#define LIVE 1
#define DEAD 2

bool sealed[N] = true;  /* the node's memory lacks the root */
byte ceremony[N];       /* at the node */
byte counted[N];        /* custodians whose shares the open ceremony has counted */
byte window[N];         /* custody's, for the node */
byte ready[N];          /* custodians whose clients hold a share for the ceremony now open at the node */
byte old;               /* custodians whose clients hold a share for a ceremony that is over */
byte acked;             /* custodians who have acknowledged the new share of the open rekey */
bool alerts = true;     /* the alert sink works */
bool retired;           /* shares of an earlier share epoch exist */

#define COLLECTS(x) (ceremony[x] == UNSEAL || ceremony[x] == REKEYING)

/* The window closes, and the shares given out through it are for nothing now (CER-1, KEY-1). */
inline close_window(x) {
    window[x] = (window[x] == LIVE && !MUTATION_WINDOW_STAYS -> DEAD : window[x]);
    old = old | (MUTATION_SHARES_VANISH -> 0 : ready[x]);
    ready[x] = 0
}

/* The ceremony of the node is over, for whatever reason (CER-1). The acknowledgements of an open rekey go with it. */
inline end_ceremony(x) {
    acked = (ceremony[x] == REKEY_ACKS -> 0 : acked);
    ceremony[x] = NO_CEREMONY;
    counted[x] = 0;
    close_window(x)
}

/* Custodian i's client holds nothing any more. */
inline wipe_share(i) {
#if N > 1
    ready[1] = ready[1] & ~ONE(i);
#endif
    ready[0] = ready[0] & ~ONE(i);
    old = old & ~ONE(i)
}

/* CER-1, CER-7: by a restart or by order, the node is sealed and remembers nothing. */
#define CAN_SEAL(x) (!sealed[x] || ceremony[x] != NO_CEREMONY)
inline seal(x) {
    end_ceremony(x);
    sealed[x] = !MUTATION_STARTS_UNSEALED
}

/* CER-2. A stranger is refused. */
#define CAN_OPEN_UNSEAL(x) (sealed[x] && ceremony[x] == NO_CEREMONY)
#define CAN_OPEN_REKEY(x) (!sealed[x] && ceremony[x] == NO_CEREMONY)
inline open_ceremony(x, purpose) {
    ceremony[x] = purpose
}

/* CER-3. */
#define CAN_ANNOUNCE(x) (COLLECTS(x) && window[x] != LIVE)
inline announce(x) {
    window[x] = LIVE
}

/* CER-4, asked honestly: the other ways of asking are refused. Asking again for what is held changes nothing. */
#define GIVES_OLD(x) (window[x] == DEAD || (MUTATION_WITHOUT_WINDOW && window[x] == NO_WINDOW))
#define CAN_REQUEST(i, x) \
    ((alerts || MUTATION_WITHOUT_ALERT) \
        && ((window[x] == LIVE && !HAS(ready[x], i)) || (GIVES_OLD(x) && !HAS(old, i))))
inline request_share(i, x) {
    if
    :: !MUTATION_SHARES_PILE_UP -> wipe_share(i)
    :: else
    fi;
    if
    :: window[x] == LIVE -> ready[x] = ready[x] | ONE(i)
    :: else -> old = old | ONE(i)
    fi
}

/* CER-5, handing over what is held: it is wiped in every case, also when the node says no. The other ways of handing
 * are refused and change nothing. */
#define GOOD(i, x) (HAS(ready[x], i) || (MUTATION_OLD_SHARE_COUNTS && HAS(old, i) && COLLECTS(x)))
#define SAYS_NO(i, x) (!GOOD(i, x) || HAS(counted[x], i))
#define CAN_SUBMIT(i, x) ((HAS(old, i) || HAS(ready[x], i)) && !(MUTATION_REFUSED_IS_KEPT && SAYS_NO(i, x)))
inline submit_share(i, x) {
    if
    :: SAYS_NO(i, x) -> wipe_share(i) /* CeremonyExpired or DuplicateShare */
    :: else ->
        wipe_share(i);
        counted[x] = counted[x] | ONE(i);
        if
        :: SIZE(counted[x]) >= T - MUTATION_ONE_SHARE_FEWER -> reach_threshold(x)
        :: else
        fi
    fi
}

/* CER-6, KEY-1. */
inline reach_threshold(x) {
    if
    :: ceremony[x] == UNSEAL ->
        end_ceremony(x);
        sealed[x] = false
    :: else ->
        ceremony[x] = REKEY_ACKS;
        counted[x] = (MUTATION_COUNT_IS_KEPT -> counted[x] : 0);
        close_window(x)
    fi
}

/* KEY-2, an intact share: a damaged one is refused. KEY-3 when it is the last. */
#define CAN_ACK(i, x) (ceremony[x] == REKEY_ACKS && !HAS(acked, i))
inline ack_share(i, x) {
    acked = acked | ONE(i);
    if
    :: SIZE(acked) >= (MUTATION_REKEY_EARLY -> T : C) ->
        end_ceremony(x);
        retired = true
    :: else
    fi
}

/* TIME-1: ceremonies, windows and shares in memory are over. Nodes stay sealed or unsealed. */
#define UNDER_WAY(x) (ceremony[x] != NO_CEREMONY || window[x] != NO_WINDOW || ready[x] != 0)
#if N > 1
#define CAN_ADVANCE (UNDER_WAY(0) || UNDER_WAY(1) || old != 0)
#else
#define CAN_ADVANCE (UNDER_WAY(0) || old != 0)
#endif
inline end_all(x) {
    end_ceremony(x);
    window[x] = NO_WINDOW
}
inline advance() {
    end_all(0);
#if N > 1
    end_all(1);
#endif
    old = (MUTATION_SHARES_OUTLIVE_TIME -> old : 0)
}

/* WITNESS, if defined, is the state that a `sometimes` property looks for: finding it is reported as a violation. */
#ifdef WITNESS
#define SHOW_WITNESS assert(!(WITNESS))
#else
#define SHOW_WITNESS skip
#endif

/* One action, of a kind, by custodian i, at node x: one indivisible step from the head of the loop to the head of the
 * loop. Where nobody judges, kind, i and x say nothing. */
#ifdef JUDGED
#include "claims.pml"
#define STEP(kind, i, x, guard, effect) :: d_step { guard -> look(); effect; judge(kind, i, x) }
#else
#define STEP(kind, i, x, guard, effect) :: d_step { guard -> effect; SHOW_WITNESS }
#endif

/* What can happen at node x, and between custodian i and node x. */
#if WITH_RESTART
#define RESTART_AT(x) STEP(RESTART, 0, x, CAN_SEAL(x), seal(x))
#else
#define RESTART_AT(x)
#endif
#if WITH_REKEY
#define REKEY_AT(x) STEP(OPEN_REKEY, 0, x, CAN_OPEN_REKEY(x), open_ceremony(x, REKEYING))
#define ACK_AT(i, x) STEP(ACK, i, x, CAN_ACK(i, x), ack_share(i, x))
#else
#define REKEY_AT(x)
#define ACK_AT(i, x)
#endif
#define AT_NODE(x) \
    STEP(SEAL, 0, x, CAN_SEAL(x), seal(x)) \
    RESTART_AT(x) \
    STEP(OPEN_UNSEAL, 0, x, CAN_OPEN_UNSEAL(x), open_ceremony(x, UNSEAL)) \
    REKEY_AT(x) \
    STEP(ANNOUNCE, 0, x, CAN_ANNOUNCE(x), announce(x))
#define BETWEEN(i, x) \
    STEP(REQUEST, i, x, CAN_REQUEST(i, x), request_share(i, x)) \
    STEP(SUBMIT, i, x, CAN_SUBMIT(i, x), submit_share(i, x)) \
    ACK_AT(i, x)
#define CUSTODIANS_2(x) BETWEEN(0, x) BETWEEN(1, x)
#define CUSTODIANS_3(x) CUSTODIANS_2(x) BETWEEN(2, x)
#define CUSTODIANS_4(x) CUSTODIANS_3(x) BETWEEN(3, x)
#define CUSTODIANS_5(x) CUSTODIANS_4(x) BETWEEN(4, x)
#if C == 2
#define CUSTODIANS(x) CUSTODIANS_2(x)
#elif C == 3
#define CUSTODIANS(x) CUSTODIANS_3(x)
#elif C == 4
#define CUSTODIANS(x) CUSTODIANS_4(x)
#else
#define CUSTODIANS(x) CUSTODIANS_5(x)
#endif

active proctype world() {
    do
    AT_NODE(0)
    CUSTODIANS(0)
#if N > 1
    AT_NODE(1)
    CUSTODIANS(1)
#endif
#if WITH_OUTAGE
    STEP(SINK_DOWN, 0, 0, alerts, alerts = false)
    STEP(SINK_UP, 0, 0, !alerts, alerts = true)
#endif
#if WITH_TIME
    STEP(ADVANCE, 0, 0, CAN_ADVANCE, advance())
#endif
    od
}
