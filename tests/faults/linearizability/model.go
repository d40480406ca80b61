package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// list is what one seller has: a value, never changed in place.
type list struct {
	version int
	erased  bool
	// Names in order, separated by \n: comparable, as the checker wants it.
	names string
}

func (l list) split() []string {
	if l.names == "" {
		return nil
	}
	return strings.Split(l.names, "\n")
}

const clientsPerSeller = 20

// tag is what stays of a name when it changes.
func tag(name string) string {
	before, _, _ := strings.Cut(name, "~")
	return before
}

func tags(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = tag(name)
	}
	return all
}

// decide is the rule of the source of truth as a client sees it: what the list becomes, or why it stays as it is.
func decide(state list, in input) (after list, refused string) {
	if in.ifVersion != nil && *in.ifVersion != state.version {
		return state, "precondition-failed"
	}
	names := state.split()
	with := func(changed []string) list {
		return list{state.version + 1, false, strings.Join(changed, "\n")}
	}
	switch in.Kind {
	case "add":
		if len(names) >= clientsPerSeller {
			return state, "too-many-clients"
		}
		if slices.Contains(names, in.Name) {
			return state, "duplicate-client"
		}
		return with(append(slices.Clone(names), in.Name)), ""
	case "rename":
		at := slices.Index(tags(names), in.Name)
		if at < 0 {
			return state, "not-found"
		}
		changed := slices.Clone(names)
		changed[at] = in.To
		return with(changed), ""
	case "remove":
		at := slices.Index(tags(names), in.Name)
		if at < 0 {
			return state, "not-found"
		}
		return with(slices.Delete(slices.Clone(names), at, at+1)), ""
	case "reorder":
		have := tags(names)
		if !slices.Equal(slices.Sorted(slices.Values(in.Names)), slices.Sorted(slices.Values(have))) {
			return state, "order-mismatch"
		}
		if slices.Equal(in.Names, have) {
			return state, ""
		}
		changed := make([]string, 0, len(names))
		for _, wanted := range in.Names {
			changed = append(changed, names[slices.Index(have, wanted)])
		}
		return with(changed), ""
	case "erase":
		if state.erased || state.version == 0 {
			return state, ""
		}
		return list{state.version + 1, true, ""}, ""
	}
	panic("no such action: " + in.Kind)
}

// decided are refusals that the rule gives; any other (too many requests, say) may come at any time and changes nothing.
var decided = []string{"precondition-failed", "too-many-clients", "duplicate-client", "not-found", "order-mismatch"}

func step(before, in, out any) (bool, any) {
	state, asked, told := before.(list), in.(input), out.(output)
	if asked.Kind == "read" {
		return told.version == state.version && slices.Equal(told.names, state.split()), state
	}
	after, refused := decide(state, asked)
	switch told.event {
	case "ok":
		return refused == "" && told.version == after.version, after
	case "fail":
		if !slices.Contains(decided, told.reason) {
			return true, state
		}
		return refused == told.reason, state
	}
	return true, after
}

// model is a list of its own for each seller; every history begins with empty lists.
var model = porcupine.Model{
	Init: func() any { return list{} },
	Step: step,
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		bySeller := map[int][]porcupine.Operation{}
		for _, one := range history {
			seller := one.Input.(input).seller
			bySeller[seller] = append(bySeller[seller], one)
		}
		var parts [][]porcupine.Operation
		for _, part := range bySeller {
			parts = append(parts, part)
		}
		return parts
	},
	DescribeOperation: func(in, out any) string {
		asked, told := in.(input), out.(output)
		return fmt.Sprintf("seller %d: %s %s%s → %s %d %s%s", asked.seller, asked.Kind, asked.Name,
			strings.Join(asked.Names, ","), told.event, told.version, told.reason, strings.Join(told.names, ","))
	},
	DescribeState: func(state any) string {
		one := state.(list)
		return fmt.Sprintf("%d [%s]", one.version, strings.ReplaceAll(one.names, "\n", ","))
	},
}
