package main

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
)

// A check has a name and panics when it fails.
type check struct {
	name string
	run  func()
}

// runAll prints `ok NAME` or `not ok NAME: WHY` for each check and tells whether all are well.
func runAll(checks []check) bool {
	passed := true
	for _, one := range checks {
		why := runOne(one)
		if why == "" {
			fmt.Printf("ok %s\n", one.name)
			continue
		}
		passed = false
		fmt.Printf("not ok %s: %s\n", one.name, strings.Join(strings.Fields(why), " "))
	}
	return passed
}

func runOne(one check) (why string) {
	defer func() {
		if reason := recover(); reason != nil {
			why = fmt.Sprintf("%v (%s)", reason, ownLines(string(debug.Stack())))
		}
	}()
	one.run()
	return ""
}

// ownLines picks the places in this program out of a stack.
func ownLines(stack string) string {
	var places []string
	for _, line := range strings.Split(stack, "\n") {
		place := strings.TrimSpace(line)
		if strings.HasPrefix(line, "\t") && strings.Contains(place, "/clients/go/") && !strings.Contains(place, "checks.go") {
			name := place[strings.LastIndex(place, "/")+1:]
			places = append(places, strings.Fields(name)[0])
		}
	}
	return strings.Join(places, " < ")
}

// must panics on an error.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// same panics unless both are equal; of slices, the first difference is told.
func same[T any](actual, expected T) {
	if reflect.DeepEqual(actual, expected) {
		return
	}
	one, other := reflect.ValueOf(actual), reflect.ValueOf(expected)
	if one.Kind() != reflect.Slice {
		panic(fmt.Sprintf("expected %+v, got %+v", expected, actual))
	}
	at := 0
	for at < one.Len() && at < other.Len() && reflect.DeepEqual(one.Index(at).Interface(), other.Index(at).Interface()) {
		at++
	}
	counts := fmt.Sprintf("expected %d, got %d", other.Len(), one.Len())
	panic(fmt.Sprintf("%s; from %d: expected %+v, got %+v", counts, at, some(other, at), some(one, at)))
}

func some(list reflect.Value, from int) any {
	return list.Slice(from, min(from+3, list.Len())).Interface()
}
