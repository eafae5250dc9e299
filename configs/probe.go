package configs

import _ "embed"

// CeleryProbe is celery/dropleak_probe.py, which a team drops into its Celery
// application so that the task that leaks can be named.
//
//go:embed celery/dropleak_probe.py
var CeleryProbe string
