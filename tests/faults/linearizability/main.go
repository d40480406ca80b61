// Judges whether the answers of the source of truth are linearizable for each seller, from a history in JSON lines.
//
//	linearizability [-timeout 60s] [-picture out.html] history.jsonl
//
// Ends with 0 when they are, 1 when they are not, 2 when it cannot tell (bad input, or not within the time). Standard
// output is one line of JSON: {"verdict", "operations", "open", "sellers"}, `sellers` being those whose answers are not.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

type verdict struct {
	Verdict    string `json:"verdict"`
	Operations int    `json:"operations"`
	// Operations whose outcome is not known.
	Open    int   `json:"open"`
	Sellers []int `json:"sellers"`
}

func main() {
	timeout := flag.Duration("timeout", time.Minute, "how long to look")
	picture := flag.String("picture", "", "where to draw a history that is not linearizable")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "name one history: linearizability [flags] history.jsonl")
		os.Exit(2)
	}
	file, err := os.Open(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	operations, err := read(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	result := judge(operations, *timeout)
	if result.Verdict == "not linearizable" && *picture != "" {
		draw(operations, result.Sellers[0], *picture)
	}
	text, _ := json.Marshal(result)
	fmt.Println(string(text))
	switch result.Verdict {
	case "linearizable":
	case "not linearizable":
		os.Exit(1)
	default:
		os.Exit(2)
	}
}

func judge(operations []porcupine.Operation, timeout time.Duration) verdict {
	result := verdict{Verdict: "linearizable", Operations: len(operations), Sellers: []int{}}
	for _, one := range operations {
		if one.Output.(output).event == "unknown" {
			result.Open++
		}
	}
	deadline := time.Now().Add(timeout)
	for _, part := range model.Partition(operations) {
		// At least a moment for each: one hard seller must not hide what is wrong with the others.
		patience := max(time.Until(deadline), time.Second)
		switch porcupine.CheckOperationsTimeout(model, part, patience) {
		case porcupine.Illegal:
			result.Verdict = "not linearizable"
			result.Sellers = append(result.Sellers, part[0].Input.(input).seller)
		case porcupine.Unknown:
			if result.Verdict == "linearizable" {
				result.Verdict = "not known in time"
			}
		}
	}
	slices.Sort(result.Sellers)
	return result
}

func draw(operations []porcupine.Operation, seller int, path string) {
	var part []porcupine.Operation
	for _, one := range operations {
		if one.Input.(input).seller == seller {
			part = append(part, one)
		}
	}
	_, info := porcupine.CheckOperationsVerbose(model, part, 30*time.Second)
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		fmt.Fprintln(os.Stderr, "cannot draw:", err)
	}
}
