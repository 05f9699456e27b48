// Package gitops runs what deploy/gitops holds as Argo CD and Flux do: the Lua under the interpreter that Argo CD embeds,
// with the libraries that it opens, the CEL with the library and the options that Flux uses, the jq expressions with the
// library that Argo CD uses. Neither of the two is run here.
package gitops

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

const gitops = "../../deploy/gitops"

// A Rollout as the operator left it, and what of people's requests it would honour then. tests/it/gitops.rs writes them.
type rollout struct {
	Phase    string
	Reason   string
	Honoured []string
	Object   map[string]any
}

func (r rollout) name() string { return r.Phase + "/" + r.Reason }

// How a phase is shown.
type shown struct{ ArgoCD, Flux string }

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var into T
	if err := yaml.UnmarshalStrict(text, &into); err != nil {
		t.Fatal(err)
	}
	return into
}

func rollouts(t *testing.T) []rollout {
	t.Helper()
	file, err := os.Open("rollouts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []rollout
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one rollout
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("only %d Rollouts in rollouts.jsonl", len(all))
	}
	return all
}

func phases(t *testing.T) map[string]shown {
	t.Helper()
	return decode[map[string]shown](t, read(t, "phases.yaml"))
}

// A Rollout that was just created, and one whose spec was edited since the operator looked.
func unseen(t *testing.T) map[string]map[string]any {
	t.Helper()
	created, edited := rollouts(t)[0].Object, rollouts(t)[0].Object
	created, edited = clone(t, created), clone(t, edited)
	delete(created, "status")
	edited["metadata"].(map[string]any)["generation"] = float64(2)
	return map[string]map[string]any{"created": created, "edited": edited}
}

func clone(t *testing.T, object map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var copied map[string]any
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}
