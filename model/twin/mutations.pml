/*
 * Bugs, each off unless switched on by -DMUTATION_X=1. `check --self-test` builds the twin with one at a time and must
 * see it as the comment says: as a broken claim, as other counts, or as other steps.
 */

/* CER-6: the threshold is one less. Breaks unsealed_by_threshold. */
#ifndef MUTATION_ONE_SHARE_FEWER
#define MUTATION_ONE_SHARE_FEWER 0
#endif
/* CER-5: a share for a ceremony that is over counts for the next one. Breaks count_is_released. */
#ifndef MUTATION_OLD_SHARE_COUNTS
#define MUTATION_OLD_SHARE_COUNTS 0
#endif
/* CER-4: a share leaves without an announced ceremony. Breaks share_only_in_window. */
#ifndef MUTATION_WITHOUT_WINDOW
#define MUTATION_WITHOUT_WINDOW 0
#endif
/* CER-4: a share leaves though its alert cannot be recorded. Breaks alert_before_share. */
#ifndef MUTATION_WITHOUT_ALERT
#define MUTATION_WITHOUT_ALERT 0
#endif
/* CER-4: a share does not replace the one held before. Breaks one_share_each. */
#ifndef MUTATION_SHARES_PILE_UP
#define MUTATION_SHARES_PILE_UP 0
#endif
/* KEY-3: as many acknowledgements as shares are needed are enough. Breaks rekey_by_all. */
#ifndef MUTATION_REKEY_EARLY
#define MUTATION_REKEY_EARLY 0
#endif
/* CER-1: the node starts unsealed. Breaks start_is_sealed. */
#ifndef MUTATION_STARTS_UNSEALED
#define MUTATION_STARTS_UNSEALED 0
#endif
/* TIME-1: clients keep their shares. Breaks time_ends_all. */
#ifndef MUTATION_SHARES_OUTLIVE_TIME
#define MUTATION_SHARES_OUTLIVE_TIME 0
#endif
/* CER-1, KEY-1: the window outlives the collection of shares. Breaks live_while_collecting. */
#ifndef MUTATION_WINDOW_STAYS
#define MUTATION_WINDOW_STAYS 0
#endif
/* CER-5 read otherwise: a share that the node refuses stays with the client. Breaks no claim; the counts differ. */
#ifndef MUTATION_REFUSED_IS_KEPT
#define MUTATION_REFUSED_IS_KEPT 0
#endif
/* KEY-1 read otherwise: the node still says whose shares it counted. Breaks no claim; the counts differ. */
#ifndef MUTATION_COUNT_IS_KEPT
#define MUTATION_COUNT_IS_KEPT 0
#endif
/* CER-1: shares held for a ceremony that is over are gone. Breaks no claim, and the counts are the same: every state and
 * every enabled step is there. Some steps lead elsewhere. */
#ifndef MUTATION_SHARES_VANISH
#define MUTATION_SHARES_VANISH 0
#endif
