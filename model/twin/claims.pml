/*
 * What every step must keep, by the names that spec/claims.toml uses. The judge compares the state before the step with
 * the state after it, and reads none of the guards. Its variables are hidden: no part of the state. (They are bytes, as
 * SPIN hides no bits; and its breadth-first search takes no hidden variables, so the judge sits in the depth-first one.)
 */

/* Kinds of action. */
#define SEAL 0
#define RESTART 1
#define OPEN_UNSEAL 2
#define OPEN_REKEY 3
#define ANNOUNCE 4
#define REQUEST 5
#define SUBMIT 6
#define ACK 7
#define SINK_DOWN 8
#define SINK_UP 9
#define ADVANCE 10

hidden byte was_sealed[N];
hidden byte was_ceremony[N];
hidden byte was_counted[N];
hidden byte was_window[N];
hidden byte was_ready[N];
hidden byte was_old;
hidden byte was_acked;
hidden byte was_alerts;
hidden byte was_retired;

inline look_at(x) {
    was_sealed[x] = sealed[x];
    was_ceremony[x] = ceremony[x];
    was_counted[x] = counted[x];
    was_window[x] = window[x];
    was_ready[x] = ready[x]
}
inline look() {
    look_at(0);
#if N > 1
    look_at(1);
#endif
    was_old = old;
    was_acked = acked;
    was_alerts = alerts;
    was_retired = retired
}

#define IF(a, b) (!(a) || (b))
#define GAINS(after, before) (((after) & ~(before)) != 0)

#define UNSEALED(x) (was_sealed[x] && !sealed[x])
#define COUNTED(x) GAINS(counted[x], was_counted[x])
#define MOVED(x) (was_sealed[x] != sealed[x] || was_ceremony[x] != ceremony[x])
#define GIVEN(x) GAINS(ready[x], was_ready[x])
#define WAS_COLLECTING(x) (was_ceremony[x] == UNSEAL || was_ceremony[x] == REKEYING)
#define REKEYED(x) (was_ceremony[x] == REKEY_ACKS && ceremony[x] == NO_CEREMONY)

hidden byte start_is_sealed;
hidden byte unsealed_by_threshold;
hidden byte count_is_released;
hidden byte share_only_in_window;
hidden byte alert_before_share;
hidden byte rekey_by_all;
hidden byte time_ends_all;
hidden byte live_while_collecting;
hidden byte one_share_each;

/* The claims about a node, after a step of some kind by custodian i at node x. */
inline judge_node(kind, i, x, node) {
    unsealed_by_threshold = IF(UNSEALED(node), kind == SUBMIT && x == node && was_ceremony[node] == UNSEAL
        && SIZE(was_counted[node] & ~ONE(i)) + 1 >= T);
    assert(unsealed_by_threshold);

    count_is_released = IF(COUNTED(node) || (kind == SUBMIT && MOVED(node)),
        kind == SUBMIT && x == node && HAS(was_ready[node], i) && WAS_COLLECTING(node));
    assert(count_is_released);

    share_only_in_window = IF(GIVEN(node), kind == REQUEST && x == node && was_window[node] == LIVE);
    assert(share_only_in_window);

    rekey_by_all = IF(kind == ACK && REKEYED(node), (was_acked | ONE(i)) == EVERY);
    assert(rekey_by_all);

    time_ends_all = IF(kind == ADVANCE,
        ceremony[node] == NO_CEREMONY && window[node] == NO_WINDOW && ready[node] == 0 && old == 0);
    assert(time_ends_all);

    live_while_collecting = IF(window[node] == LIVE, COLLECTS(node)) && IF(ready[node] != 0, window[node] == LIVE);
    assert(live_while_collecting)
}

/* One line a step, for comparing whole graphs: edges.rs writes the model's in the same form. In the report only if the C
 * compiler is given -DPRINTF. */
inline write_was(x) {
    printf(" %d %d %d %d %d ", was_sealed[x], was_ceremony[x], was_counted[x], was_window[x], was_ready[x])
}
inline write_is(x) {
    printf(" %d %d %d %d %d ", sealed[x], ceremony[x], counted[x], window[x], ready[x])
}
inline write_edge(kind, i, x) {
    printf("edge %d %d %d :", kind, i, x);
    write_was(0);
#if N > 1
    write_was(1);
#endif
    printf(" %d %d %d %d :", was_old, was_acked, was_alerts, was_retired);
    write_is(0);
#if N > 1
    write_is(1);
#endif
    printf(" %d %d %d %d\n", old, acked, alerts, retired)
}

inline judge(kind, i, x) {
    start_is_sealed = IF(kind == SEAL || kind == RESTART, sealed[x]);
    assert(start_is_sealed);

    share_only_in_window = IF(kind == REQUEST, was_window[x] != NO_WINDOW);
    assert(share_only_in_window);

    alert_before_share = IF(kind == REQUEST, was_alerts);
    assert(alert_before_share);

    judge_node(kind, i, x, 0);
#if N > 1
    judge_node(kind, i, x, 1);
    one_share_each = (ready[0] & ready[1]) == 0 && ((ready[0] | ready[1]) & old) == 0;
#else
    one_share_each = (ready[0] & old) == 0;
#endif
    assert(one_share_each);
    write_edge(kind, i, x)
}
