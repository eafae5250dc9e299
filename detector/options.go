package detector

import "time"

// Options steers a judgement. The zero value means the defaults.
type Options struct {
	// Metric forces one metric: "rss", "pss" or "uss". Empty: a process is
	// judged on rss+swap and a worker on Σ(pss+swap), or Σ(rss+swap) where
	// PSS was not measured.
	Metric string
	// Window is how far back the judgement looks; 0: seven days.
	Window time.Duration
	// Patience is how long a leak must have shown, in whole hours, before
	// it is called one: for those who look again and again, as each look is one
	// more chance to be fooled. It asks nothing of what is beyond doubt, or
	// would be at its limit an hour after that. 0: none.
	Patience time.Duration
	// Scale multiplies every floor in bytes, so that a test can scale bytes
	// and floors together; 0: 1.
	Scale float64
}

// MiB is 2^20 bytes.
const MiB = 1 << 20

// thresholds is every number that decides. Bytes are per process unless
// said otherwise.
type thresholds struct {
	window       float64 // hours
	minSpan      float64 // hours
	minBlocks    int
	blocks       int
	z            float64
	growthNoise  float64
	halves       float64
	lastThird    float64
	ups          int
	saturation   float64
	neff         float64
	grain        float64
	neffGrain    float64
	neffLate     float64
	lateFrom     float64
	burstSpan    float64
	burstEvents  float64
	material     float64
	materialRate float64
	materialSum  float64
	warmBytes    float64
	warmSigma    float64
	warmHours    float64
	warmSpread   float64
	passing      float64
	startUp      float64
	bendLeak     float64
	bendClock    float64
	bendPassing  float64
	bendOdd      float64
	bendTimed    float64
	warmQuiet    float64
	warmLongest  float64
	warmLate     float64
	warmMax      float64
	warmSure     float64
	warmSureOld  float64
	warmDay      float64
	pieces       float64
	piecesPower  float64
	piecesLeast  float64
	sure         float64
	sureAt       float64
	surePace     float64
	sureClear    float64
	sureSigma    float64
	sureLong     float64
	sureOld      float64
	sureBend     float64
	sureAlone    float64
	patience     float64 // hours
	headStart    float64 // hours
	parentOdds   float64
	arenaBytes   float64
	arenaHours   float64
	loadShare    float64
	loadRise     float64
	loadAlike    float64
	loadClimb    float64
	loadClose    float64
	loadSlope    float64
	loadGain     float64
	loadOdds     float64
	heldTask     float64
	heldFell     float64
	minWindow    float64
	givenBack    float64
	leakPace     float64
	leakSigma    float64
	fall         float64
	fallBytes    float64
	step         float64
	confirm      int
	poolLives    int
	poolGrowth   float64
	poolShare    float64
	poolMany     int
	poolPace     float64
	taskZ        float64
	throttle     float64
	pressure     float64
	threshold    float64
	conformal    float64
	rateSpread   float64
	timeSpread   float64

	confirmPart, confirmLeast, confirmWeak                    float64
	detectable, still, startUps, refilled, swing, newHigh     float64
	stepPart, stepOrdinary                                    float64
	steps, stepStays                                          int
	fallFrom, fallTo, fallOnce, lateShare                     float64
	tailLongest, tailStart, tailStartPart, tailLeast          float64
	burstGrowth, burstBack, burstHour, burstEach              float64
	burstQuiet, burstTimes                                    int
	seasonFrom, seasonLeft, onsetKnee, quietShare, quietAfter float64
	lagMost, lagSlow, likeGain, likeWork, settledAfter        float64
	loadVaries, loadFits                                      float64
	loadBack, loadGrown, loadAfter, loadTracks                float64
	poolBlocks                                                int
	poolStart, poolMost, levelHours                           float64
	hostMaterial, hostShare, hostTimes, hostDays, hostSwing   float64
	blameShare, suspectLeft, suspectShare                     float64
	silentGaps, silentLeast, sumCovers                        float64
	tellShare, tellLeft                                       float64
	freedShare, freedGain, freedFull, freedStill              float64
	fixedShare, fixedSlow                                     float64
	besideLeast, besidePart                                   int
	dipFrom, dip                                              float64
	taskRuns, taskAlike, taskTame, taskNeighbours             float64
	taskClear, taskLittle, taskOnly, taskQuiet                float64

	unscreened bool // measure every window in full; the tests compare
}

// measured is every threshold, each with its reason and the data that set it,
// but for what a caller says. "Recordings" are the labelled Celery nodes,
// "made" series those of the synth package.
var measured = thresholds{
	// A window of a curve.
	minSpan:     2.5,  // recordings: start-up churn lasts an hour and is not told from a leak in less
	minBlocks:   18,   // the trend test needs this many readings to be near its normal limit
	blocks:      96,   // Sen's pairs stay at 4,560 and a day keeps 14 blocks of a week
	z:           4,    // simulated random walks pass 3.4 twice as often (6 % against 3.3 %)
	growthNoise: 3,    // less than three deviations of its own scatter nobody would see either
	halves:      0.5,  // logarithmic growth over [t, 5t] gives 0.46, an exponential warm-up far less
	lastThird:   0.17, // half of what a straight line gains there
	ups:         6,    // of 7 increments of 8 block medians; a straight line has all 7
	saturation:  4,    // AIC: a saturating curve must be e² times as likely as the line to win
	step:        0.35, // of the range: a sharper single rise is a step and taken out (recordings h6)

	// Staircases: how many equal growth events the increments amount to.
	neff:      15,                  // recordings h5 show up to 8, made ones up to 14 (seeds 20001 to 20060)
	grain:     2.5 * MiB,           // pymalloc's arenas are 1 MiB, a table of 10^5 entries doubles by 2 MiB
	neffGrain: 5,                   // steps of that size are the allocator's: recordings l1, l10 show 5 to 10 in three hours
	neffLate:  7,                   // stairs that begin after a quarter of a life and eight hours: recordings and made
	lateFrom:  8,                   // series of h5 end theirs before (found by l12)
	burstSpan: 12, burstEvents: 15, // hours; recordings l11 leak in bursts every seven hours, each gradual: 20 to 40 events

	// What matters.
	// Healthy children of recordings creep by up to 1 MiB a day, at up to 0.1 MiB an hour; the rate is 180 MiB a month.
	material: 1.5 * MiB, materialRate: 0.25 * MiB,
	materialSum: 8 * MiB, // slower growth that has added up to this matters too

	// Warm-ups: size and duration are log-normal (medians, log spreads).
	warmBytes: 85 * MiB, warmSigma: 0.3, warmHours: 7, warmSpread: 0.32, // recordings h2, h7 gain 55 to 90 MB a process in 4 to 9 hours
	passing:  0.1,                 // odds of a passing cause that is no warm-up, before the bend is looked at
	startUp:  0.6,                 // hours: what a process gains by starting says nothing of its pace
	bendLeak: 0.1, bendClock: 0.2, // made leaks: nine in ten bend by less than this over work, and over time (seeds 20001 to 20020)
	bendPassing: 0.3,                // made warm-ups, caches and load in their first hours: -0.3 in the middle
	bendOdd:     0.1,                // one leak in ten has some other cause beside it that bends it
	warmQuiet:   0.2,                // an earlier life of the same role showed no warm-up
	warmLongest: 9.5, warmLate: 0.3, // no warm-up recorded was still straight after this, so odds fall
	warmMax: 0.3, // made leaks in their first hours lie mostly below it, straight warm-ups above (seeds 20001 to 20060)
	// Odds for which one look is enough: two in three of what passed falsely lay above (made, seeds 30000 to 31129);
	// of what is a day old less passes, and recordings l7, l11, l12 show their leak by then.
	warmSure: 0.1, warmSureOld: 0.2, warmDay: 24,
	// Growth events: at the first alarm two in three false ones had fewer, one made leak in twelve, recorded ones 10 to 20.
	pieces: 15, piecesPower: 1.5, piecesLeast: 0.3,
	// Certainty: logistic regression over 620 healthy and 806 leaking series (made seeds 100028 to 100059, twenty looks
	// each), cross-validated by seed. Made seeds 300000 to 300099 at ten looks: 12 of 2,000 healthy series accused at 3.3
	// and 2, 7 at these; recall 0.991 and 0.989, the median leak called an hour later. Recordings l7, l12 show 2.7 at a day.
	sure: 4, sureOld: 2.5, sureAt: -2.5, surePace: 0.62, sureClear: 1.08, sureSigma: 0.02 * MiB, sureLong: 0.34, sureBend: 0.58,
	// Looks an hour apart, made seeds 310000 to 310059: two hours of patience below this take false alarms from 0.14 to
	// 0.04 a series and month; below 5 it was 0.05 there and 0.06 on seeds 73000000 to 73000074, four in nine of them
	// caches that were that sure after three hours.
	sureAlone:  5.5,
	headStart:  1,                  // hours: somebody has to read it, snapshot and restart before the limit
	parentOdds: 3,                  // tasks not yet due fill a parent more often than a leak does (made h18)
	arenaBytes: 2, arenaHours: 1.4, // glibc keeps up to eight arenas of 64 MiB a core for threads (made h16)
	leakPace: 3 * MiB, leakSigma: 1.3, // recordings: leaking processes grow by 0.5 to 31 MB an hour

	// Caches, load, pools, tasks.
	// Of the range so far: more given back at once is a cache that clears (recordings h7), and less than the bytes is noise.
	fall: 0.3, fallBytes: 4 * MiB,
	loadShare: 0.6,                  // more of the growth than this follows the load: the load is judged, not the code
	loadRise:  1.25, loadAlike: 0.5, // first quarter to last, and correlation of memory and load: made h10 show 1.3 and more where they fooled, nine leaks in ten less
	// The same where nothing was given back yet, for half a day: a third of the false alarms, one made leak in twenty.
	loadClimb: 1.35, loadClose: 0.8, loadSlope: 14,
	loadGain:   25,      // log-likelihood, twice, that work must add at 96 readings: made h10 7 to 32, leaks 28 and more
	givenBack:  0.1,     // of what it rises, memory that follows load gives back
	loadOdds:   6,       // times: made growing load (h10, seeds 20001 to 20060) still passed at 4, none at 6
	heldTask:   MiB,     // a task that waits is its message and request; brokers and their people keep those far below
	heldFell:   0.3,     // of what a backlog rose: fallen by less, it says little of what it gives back
	minWindow:  2,       // hours: a young process must show its growth without its start-up
	confirm:    2,       // earlier looks that must not say healthy; a third delays and no longer helps on made walks
	poolLives:  3,       // two lives that end high can be chance
	poolGrowth: 4 * MiB, // a life must gain this past its start to be worth recycling for
	// Lives that a shrinking pool ends: a recorded leak shows 0.65 and 0.92 to 1.03, made ones (h14) 0.14 and, with straight lives, 0.58 at most.
	poolShare: 0.5, poolMany: 8, poolPace: 0.75,
	taskZ: 3.3, // no innocent task accused in recordings or simulations

	// Ceilings, of MemoryHigh or the limit: reclaim holds memory just below; share of the last hour stalled; worth saying though level.
	throttle: 0.98, pressure: 0.1, threshold: 0.95,

	// Intervals, set so that nine in ten true rates and times of made leaks fall inside (seeds 101 to 105; held-back: 0.90).
	conformal: 1.15, rateSpread: 0.1, timeSpread: 0.2,

	// Smaller choices, each with the shape that asks for it.

	// Looking back: a sixteenth of the window and six minutes at least, so that the earlier look has other blocks; a weak
	// leak is asked twice as far back, where a walk that passed once is another walk.
	confirmPart: 16, confirmLeast: 0.1, confirmWeak: 2,
	detectable: 4,    // deviations: what is smaller than the scatter of both ends, twice, is in the eye of the beholder
	still:      0.25, // of what is material: less is looked at no further, the screen that makes calm series cheap
	startUps:   2,    // start-ups from the beginning: only there a shorter window than minSpan leaves something out
	swing:      2,    // times material: a rhythm lower than that is called noise, not a season
	newHigh:    0.5,  // of a window's growth must be above what was ever held: a rhythm climbs to where it has been (made h11)
	refilled:   0.15, // of its height: a cache that fills again stops at its bound, give or take this (recordings h7)
	// Steps: smaller ones cannot hide that nothing leaks, ordinary increments are no steps, a spike is gone within an hour
	// and five minutes, and more than three steps are stairs.
	stepPart: 3, stepOrdinary: 6, steps: 3, stepStays: 13,
	fallFrom: 0.3, fallTo: 0.8, fallOnce: 0.5, // a fall is from the low side of the hour before to the high side of that after, half of it at once
	lateShare: 0.25, // of a life: who is that old has met the largest work it is given
	// The stretch before a window: as long as the window, not its first hour or twelfth, and an eighth of it at least; a
	// window of two warm-ups needs none.
	tailLongest: 2, tailStart: 1, tailStartPart: 12, tailLeast: 0.12,
	// Bursts (recordings l11): three episodes of a tenth each, two level hours between them, an hour level below a
	// fiftieth, a twentieth given back at most, and eight times what is material, because chance has more shapes to choose from.
	burstGrowth: 8, burstBack: 0.05, burstHour: 0.02, burstEach: 0.1, burstQuiet: 2, burstTimes: 3,
	seasonFrom: 72, seasonLeft: 0.8, // hours: each hour of the day three times; a rhythm that explains a fifth of the variance
	onsetKnee:  0.8,                 // of the residuals: a later knee must explain a fifth of them, or growth began where the curve begins
	quietShare: 0.25, quietAfter: 3, // of the growth, hours: an earlier life that gained less by then, and was seen so long, had no warm-up
	lagMost: 20, lagSlow: 1.5, // times the work: beyond it a child is idle; less is chance in how tasks are dealt
	// A sibling excuses what has gained a quarter more than it did before it stopped, on half as much work again; to have
	// stopped it must have been watched for two hours.
	likeGain: 1.25, likeWork: 1.5, settledAfter: 2,
	loadVaries: 0.2, loadFits: 0.92, // of its mean; of the variance left: less, and there is nothing to tell load by
	// Load that rises, when it alone decides: by more than half, for six hours, memory alike, and a seventh given back.
	loadBack: 0.15, loadGrown: 1.6, loadAfter: 6, loadTracks: 0.7,
	poolBlocks: 8, poolStart: 0.15, poolMost: 0.7, // a life of 40 minutes, less its start; of lives, so that one in four may be idle
	silentGaps: 2.2, silentLeast: 0.2, // usual distances between blocks, hours: one pass may fail and one be late; and two blocks at least
	sumCovers:  0.8, // of the time since the onset: on less of it the sum tells of another growth than the processes that leak
	levelHours: 2,   // a leak held at its ceiling shows no growth in two hours; minWindow tells no more in less
	// Droplets: dozens of processes scatter as eight do (the root of sixty-four), their leaks and warm-ups as four; before two
	// days were seen growth must be three times the ups and downs (made dh1 to dh3).
	hostMaterial: 8, hostShare: 0.005, hostTimes: 4, hostDays: 48, hostSwing: 3,
	blameShare: 0.5, suspectLeft: 0.3, suspectShare: 0.3, // of the growth: most of it; enough left to be worth a name; a third of that
	tellShare: 0.1, tellLeft: 0.2, // of the growth: smaller parts are not worth a sentence
	// Heaps simulated by another's hand (60 families of 30 series, twice; ten looks): an allocator that trims for less than
	// two hours hid 15 of 1,680 leaks behind stairs, and 2 of 1,860 healthy series pass.
	dipFrom: 8, dip: 1,
	// Recovery: a tenth of the footprint is more than a pool's own ups and downs, half of the gain is nearer to cured than
	// not, nine tenths of the limit is no room; a quarter of that still coming between two readings has not come to rest.
	freedShare: 0.1, freedGain: 0.5, freedFull: 0.9, freedStill: 0.25,
	// Of the rate before: what is left below it is another, smaller leak or none (made series: no failed fix passes); of a
	// leak slower than twice materialRate, half.
	fixedShare: 0.25, fixedSlow: 0.5,
	// Tasks (recordings l1 to l12, made l6): a few overlaps are clocks that disagree; ten runs are no chance; calls that
	// run together for nineteen parts of twenty are one; four deviations are a block freed or grabbed; slots share floors.
	besideLeast: 5, besidePart: 20, taskRuns: 10, taskAlike: 0.95, taskTame: 4, taskNeighbours: 1.25,
	// Clear is who stands out by less than its error and could at most have left a quarter of the growth; a task alone
	// leaks when the growth is beyond twice its error and is clear when it cannot amount to four times what is material.
	taskClear: 1, taskLittle: 0.25, taskOnly: 2, taskQuiet: 4,
}

// defaults returns the thresholds as a caller wants them. A window of a week
// holds every weekly season once and a slow leak's growth.
func (o Options) defaults() thresholds {
	th := measured
	scale, window := o.units()
	th.window, th.patience = window, o.Patience.Hours()
	for _, bytes := range []*float64{
		&th.grain, &th.material, &th.materialRate, &th.materialSum, &th.warmBytes, &th.sureSigma, &th.leakPace, &th.fallBytes, &th.heldTask, &th.poolGrowth,
	} {
		*bytes *= scale
	}
	return th
}

// units gives the scale of sizes and the window in hours, defaulted.
func (o Options) units() (scale, window float64) {
	scale, window = o.Scale, o.Window.Hours()
	if scale <= 0 {
		scale = 1
	}
	if window <= 0 {
		window = 7 * 24
	}
	return scale, window
}
