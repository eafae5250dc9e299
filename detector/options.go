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
	horizon      float64
	warmBytes    float64
	warmSigma    float64
	warmHours    float64
	warmSpread   float64
	warmStraight float64
	warmQuiet    float64
	warmLongest  float64
	warmLate     float64
	warmMax      float64
	parentOdds   float64
	arenaBytes   float64
	arenaHours   float64
	loadShare    float64
	leakPace     float64
	leakSigma    float64
	fall         float64
	fallBytes    float64
	step         float64
	confirm      int
	poolLives    int
	poolGrowth   float64
	taskZ        float64
	throttle     float64
	pressure     float64
	threshold    float64
	conformal    float64
	rateSpread   float64
	timeSpread   float64
}

// defaults returns the thresholds, each with its reason and the data that
// set it ("recordings": the calibration half of the Celery recordings).
func (o Options) defaults() thresholds {
	s := o.Scale
	if s <= 0 {
		s = 1
	}
	w := o.Window.Hours()
	if w <= 0 {
		w = 7 * 24
	}
	return thresholds{
		window:      w,   // a week holds every weekly season once and a slow leak's growth
		minSpan:     2.5, // start-up churn lasts about an hour in the recordings; less than this is never told apart from it
		minBlocks:   18,  // z_lambda's asymptotics are poor below this (simulated)
		blocks:      96,  // Sen's pairs stay at 4,560 and a day keeps 14 blocks of a week
		z:           4,   // random walks pass 3.4 twice as often (facts: 6 % against 3.3 %)
		growthNoise: 3,   // growth below three MADs of its own residuals is not seen by a person either
		halves:      0.5, // pure log growth over [t, 5t] gives 0.46, exponential far less
		lastThird:   0.17,
		ups:         6,             // of 7 increments of 8 block medians
		saturation:  4,             // how much better (AICc) a saturating curve must fit to win over a line
		neff:        12,            // fewer equal-sized growth events than this is a staircase (recordings h5: up to 8; synth h5: up to 10)
		grain:       2.5 * MiB * s, // pymalloc's arenas are 1 MiB; a table of 10^5 entries doubles by 2 MiB
		neffGrain:   5,
		neffLate:    7, lateFrom: 8, // hours; stairs recorded and made (h5) all end in the first half of a window
		burstSpan: 12, burstEvents: 15, // hours; recordings l11 come in bursts every seven hours and show 20 to 40 events
		material: 1.5 * MiB * s,
		// a quarter MiB an hour is 180 MiB a month; healthy children in the
		// recordings creep at up to 0.1 MiB an hour
		materialRate: 0.25 * MiB * s,
		materialSum:  8 * MiB * s,  // … unless it has already added up to this
		horizon:      30 * 24,      // nobody acts today on memory that lasts a month
		warmBytes:    85 * MiB * s, // warm-ups recorded add 55 to 90 MB a process …
		warmSigma:    0.3,
		warmHours:    7, // … in 4 to 9 hours (12 by construction at most)
		warmSpread:   0.32,
		warmStraight: 0.45,               // half of the warm-ups bend visibly while they last
		warmQuiet:    0.2,                // an earlier life of the same role showed no warm-up
		warmLongest:  9.5, warmLate: 0.3, // no warm-up recorded was still straight after nine hours
		warmMax:    0.55,
		parentOdds: 3,                  // a backlog of tasks not yet due fills the parent more often than a leak does
		arenaBytes: 2, arenaHours: 1.4, // glibc keeps up to eight arenas of 64 MiB a core for threads (synth h16)
		loadShare:  0.6,         // more than this of the growth follows the load: judge the load, not the code
		leakPace:   3 * MiB * s, // leaking processes recorded grow by 0.5 to 31 MB an hour
		leakSigma:  1.3,
		fall:       0.3, // of the range so far: more than this given back at once is a cache that clears
		fallBytes:  4 * MiB * s,
		step:       0.35,
		confirm:    2,
		poolLives:  3,
		poolGrowth: 4 * MiB * s,
		taskZ:      3.3,
		throttle:   0.98,
		pressure:   0.1,
		threshold:  0.95,
		rateSpread: 0.1, timeSpread: 0.2, // set so that nine in ten true rates and times of made leaks fall inside
		conformal: 1.15,
	}
}
