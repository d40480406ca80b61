package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/anishathalye/porcupine"
)

// line is one event of the history: an invocation, or its outcome under the same id.
type line struct {
	ID     int     `json:"id"`
	At     float64 `json:"at"` // ms
	Event  string  `json:"event"`
	Client int     `json:"client"`
	Seller int     `json:"seller"`
	Action *action `json:"action"`
	// If-Match; nil without it.
	IfVersion *int     `json:"ifVersion"`
	Version   int      `json:"version"`
	Names     []string `json:"names"`
	Reason    string   `json:"reason"`
}

type action struct {
	Kind  string   `json:"kind"`
	Name  string   `json:"name"`
	To    string   `json:"to"`
	Names []string `json:"names"`
}

type input struct {
	action
	seller    int
	ifVersion *int
}

type output struct {
	event   string
	version int
	names   []string
	reason  string
}

// read turns a history into operations. One whose outcome is unknown, or never came, stays open to the end: it may take
// effect at any time after its invocation, or (at the very end, where nobody looks any more) not at all.
func read(from io.Reader) ([]porcupine.Operation, error) {
	const never = math.MaxInt64
	byID := map[int]int{}
	var operations []porcupine.Operation
	scanner := bufio.NewScanner(from)
	scanner.Buffer(make([]byte, 64*1024), 16*1024*1024)
	for scanner.Scan() {
		var one line
		if err := json.Unmarshal(scanner.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("line %d is no event: %w", len(byID)+1, err)
		}
		micros := int64(one.At * 1000)
		if one.Event == "invoke" {
			if one.Action == nil {
				return nil, fmt.Errorf("operation %d has no action", one.ID)
			}
			byID[one.ID] = len(operations)
			operations = append(operations, porcupine.Operation{
				ClientId: one.Client,
				Input:    input{*one.Action, one.Seller, one.IfVersion},
				Call:     micros,
				Output:   output{event: "unknown"},
				Return:   never,
			})
			continue
		}
		at, known := byID[one.ID]
		if !known {
			return nil, fmt.Errorf("operation %d has an outcome and no invocation", one.ID)
		}
		switch one.Event {
		case "ok", "fail":
			operations[at].Output = output{one.Event, one.Version, one.Names, one.Reason}
			operations[at].Return = micros
		case "unknown":
		default:
			return nil, fmt.Errorf("operation %d: %q is no outcome", one.ID, one.Event)
		}
	}
	// A read whose answer is not known says nothing and changes nothing.
	kept := operations[:0]
	for _, one := range operations {
		if one.Input.(input).Kind != "read" || one.Output.(output).event == "ok" {
			kept = append(kept, one)
		}
	}
	return kept, scanner.Err()
}
