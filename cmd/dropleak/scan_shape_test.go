package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// shapes are the objects of scan --json as the contract has them: each key
// with what may stand there.
var shapes = map[string]map[string]string{
	"root":       {"files": "[]file"},
	"file":       {"path": "string", "error": "string|null", "notes": "[]note", "workers": "[]worker"},
	"note":       {"line": "number|null", "text": "string"},
	"worker":     {"worker": "string", "droplet": "string|null", "verdict": "leak,leak_masked,healthy,unsure", "reason": reasons, "confidence": "number", "rate_bytes_per_hour": "number|null", "rate_low": "number|null", "rate_high": "number|null", "onset": "number|null", "min_detectable_bytes_per_hour": "number|null", "hours_needed": "number|null", "exhaustion": "exhaustion|null", "evidence": "[]string", "processes": "[]process", "tasks": "[]task"},
	"exhaustion": {"limit_bytes": "number", "earliest": "number", "expected": "number", "latest": "number|null"},
	"process":    {"pid": "number", "start": "number|null", "role": "parent,child,unknown", "verdict": "leak,healthy,unsure", "reason": reasons, "rate_bytes_per_hour": "number|null", "onset": "number|null"},
	"task":       {"task": "string", "bytes_per_call": "number", "low": "number", "high": "number", "verdict": "leak,clear,unsure"},
}

const reasons = "leak,leaking_parent,recycled,warm_up,step,staircase,load,seasonal,noise,bounded,flat,throttled,threshold,no_data,too_short,below_material"

// shape holds the standard output to the contract.
func shape(ts *testscript.TestScript, _ bool, _ []string) {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		ts.Fatalf("not one JSON value: %v", err)
	}
	if err := fits(v, "root", "$"); err != nil {
		ts.Fatalf("%v", err)
	}
}

// fits holds a value to a kind: a shape's name, string, number, a list of
// words, []kind, or either of two.
func fits(v any, kind, path string) error {
	if rest, ok := strings.CutSuffix(kind, "|null"); ok {
		if v == nil {
			return nil
		}
		kind = rest
	}
	if of, ok := strings.CutPrefix(kind, "[]"); ok {
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s is %T, want a list", path, v)
		}
		for i, one := range list {
			if err := fits(one, of, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if keys, ok := shapes[kind]; ok {
		return fitsObject(v, keys, path)
	}
	switch x := v.(type) {
	case string:
		if kind == "string" || slices.Contains(strings.Split(kind, ","), x) {
			return nil
		}
	case float64:
		if kind == "number" {
			return nil
		}
	}
	return fmt.Errorf("%s is %v, want %s", path, v, kind)
}

func fitsObject(v any, keys map[string]string, path string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is %T, want an object", path, v)
	}
	want, got := slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(object))
	if !slices.Equal(want, got) {
		return fmt.Errorf("%s has the keys %v, want %v", path, got, want)
	}
	for key, kind := range keys {
		if err := fits(object[key], kind, path+"."+key); err != nil {
			return err
		}
	}
	return nil
}
