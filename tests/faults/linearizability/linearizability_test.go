package main

import (
	"strings"
	"testing"
	"time"
)

func verdictOf(t *testing.T, history string) string {
	t.Helper()
	operations, err := read(strings.NewReader(strings.TrimSpace(history)))
	if err != nil {
		t.Fatal(err)
	}
	return judge(operations, 10*time.Second).Verdict
}

const seller = `"client":0,"seller":1`

var histories = []struct{ name, verdict, lines string }{
	{"one after the other", "linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":1,"names":["a"]}
{"id":2,"at":4,"event":"invoke",` + seller + `,"action":{"kind":"rename","name":"a","to":"b"}}
{"id":2,"at":5,"event":"ok","version":2}
{"id":3,"at":6,"event":"invoke",` + seller + `,"action":{"kind":"erase"}}
{"id":3,"at":7,"event":"ok","version":3}
{"id":4,"at":8,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":4,"at":9,"event":"ok","version":3,"names":[]}`},
	{"two writes at once, in either order", "linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":1,"at":1,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"b"}}
{"id":0,"at":2,"event":"ok","version":2}
{"id":1,"at":3,"event":"ok","version":1}
{"id":2,"at":4,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":2,"at":5,"event":"ok","version":2,"names":["b","a"]}`},
	{"a stale read", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":0,"names":[]}`},
	{"a lost write", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"b"}}
{"id":1,"at":3,"event":"ok","version":1}
{"id":2,"at":4,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":2,"at":5,"event":"ok","version":1,"names":["b"]}`},
	{"the right version with another content", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":1,"names":["z"]}`},
	{"reads that go back", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":1,"at":1,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":2,"event":"ok","version":1,"names":["a"]}
{"id":2,"at":3,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":2,"at":4,"event":"ok","version":0,"names":[]}
{"id":0,"at":5,"event":"ok","version":1}`},
	{"an unknown write that was done, much later", "linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"unknown","reason":"ECONNRESET"}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":0,"names":[]}
{"id":2,"at":4,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":2,"at":5,"event":"ok","version":1,"names":["a"]}`},
	{"an unknown write that was not done", "linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"unknown","reason":"ECONNRESET"}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"b"}}
{"id":1,"at":3,"event":"ok","version":1}`},
	{"an unknown write that is seen and then gone", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":1,"names":["a"]}
{"id":2,"at":4,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":2,"at":5,"event":"ok","version":0,"names":[]}`},
	{"a write that was done twice", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":2,"names":["a","a"]}`},
	{"a refusal that was done all the same", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"fail","reason":"too-many-requests"}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":1,"names":["a"]}`},
	{"If-Match kept", "linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"},"ifVersion":0}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"b"},"ifVersion":0}
{"id":1,"at":3,"event":"fail","reason":"precondition-failed"}`},
	{"If-Match refused although it matched", "not linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a"},"ifVersion":0}
{"id":0,"at":1,"event":"fail","reason":"precondition-failed"}`},
	{"a client renamed by somebody else is still the same client", "linearizable", `
{"id":0,"at":0,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"a~"}}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke",` + seller + `,"action":{"kind":"add","name":"b~"}}
{"id":1,"at":3,"event":"ok","version":2}
{"id":2,"at":4,"event":"invoke",` + seller + `,"action":{"kind":"rename","name":"a","to":"a~2"}}
{"id":2,"at":5,"event":"ok","version":3}
{"id":3,"at":6,"event":"invoke",` + seller + `,"action":{"kind":"reorder","names":["b","a"]}}
{"id":3,"at":7,"event":"ok","version":4}
{"id":4,"at":8,"event":"invoke",` + seller + `,"action":{"kind":"read"}}
{"id":4,"at":9,"event":"ok","version":4,"names":["b~","a~2"]}
{"id":5,"at":10,"event":"invoke",` + seller + `,"action":{"kind":"remove","name":"z"}}
{"id":5,"at":11,"event":"fail","reason":"not-found"}`},
	{"sellers do not touch each other", "linearizable", `
{"id":0,"at":0,"event":"invoke","client":0,"seller":1,"action":{"kind":"add","name":"a"}}
{"id":0,"at":1,"event":"ok","version":1}
{"id":1,"at":2,"event":"invoke","client":0,"seller":2,"action":{"kind":"read"}}
{"id":1,"at":3,"event":"ok","version":0,"names":[]}`},
}

func TestVerdicts(t *testing.T) {
	for _, one := range histories {
		t.Run(one.name, func(t *testing.T) {
			if got := verdictOf(t, one.lines); got != one.verdict {
				t.Fatalf("is %q, and must be %q", got, one.verdict)
			}
		})
	}
}

func TestNamesTheSellersWhoseAnswersAreWrong(t *testing.T) {
	operations, err := read(strings.NewReader(strings.TrimSpace(`
{"id":0,"at":0,"event":"invoke","client":0,"seller":7,"action":{"kind":"read"}}
{"id":0,"at":1,"event":"ok","version":3,"names":[]}
{"id":1,"at":0,"event":"invoke","client":0,"seller":8,"action":{"kind":"read"}}
{"id":1,"at":1,"event":"ok","version":0,"names":[]}`)))
	if err != nil {
		t.Fatal(err)
	}
	if got := judge(operations, time.Second).Sellers; len(got) != 1 || got[0] != 7 {
		t.Fatalf("names %v", got)
	}
}

func TestRefusesWhatIsNoHistory(t *testing.T) {
	for _, text := range []string{
		`{"id":0,"at":1,"event":"ok","version":1}`,
		`nonsense`,
		`{"id":0,"at":0,"event":"invoke","client":0,"seller":1}`,
	} {
		if _, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("took %s", text)
		}
	}
}
