package gitops

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/itchyny/gojq"
)

type ignored struct {
	Group, Kind, Name string
	JqPathExpressions []string
}

func ignores(t *testing.T) []ignored {
	t.Helper()
	app := decode[struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Spec             struct {
			Project, Destination, Source any
			SyncPolicy                   any
			IgnoreDifferences            []ignored
		}
	}](t, read(t, gitops+"/argocd/application.yaml"))
	return app.Spec.IgnoreDifferences
}

// normalized is the object as Argo CD compares it: each expression is deleted, then what became empty.
func normalized(t *testing.T, object map[string]any) map[string]any {
	t.Helper()
	object = clone(t, object)
	for _, rule := range ignores(t) {
		if rule.Kind != object["kind"] {
			continue
		}
		for _, path := range rule.JqPathExpressions {
			query, err := gojq.Parse(fmt.Sprintf("del(%s)", path))
			if err != nil {
				t.Fatal(err)
			}
			next, _ := query.Run(object).Next()
			if err, failed := next.(error); failed {
				t.Fatalf("%s: %v", path, err)
			}
			object = next.(map[string]any)
		}
	}
	return withoutEmpty(object).(map[string]any)
}

func withoutEmpty(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			item = withoutEmpty(item)
			empty := reflect.ValueOf(item).Kind() == reflect.Map && len(item.(map[string]any)) == 0
			if list, is := item.([]any); is {
				empty = len(list) == 0
			}
			if value[key] = item; empty {
				delete(value, key)
			}
		}
	case []any:
		for at, item := range value {
			value[at] = withoutEmpty(item)
		}
	}
	return value
}

func document(t *testing.T, text string) map[string]any {
	t.Helper()
	return decode[map[string]any](t, []byte(text))
}

// The route of the example, as git has it.
func route(t *testing.T) map[string]any {
	t.Helper()
	for _, text := range bytes.Split(read(t, "../../examples/shop/app.yaml"), []byte("\n---\n")) {
		one := decode[map[string]any](t, text)
		if one["kind"] == "HTTPRoute" {
			return one
		}
	}
	t.Fatal("no HTTPRoute in examples/shop/app.yaml")
	return nil
}

func backends(route map[string]any) []any {
	rule := route["spec"].(map[string]any)["rules"].([]any)[0].(map[string]any)
	return rule["backendRefs"].([]any)
}

func TestAWaveIsNoDifference(t *testing.T) {
	git, live := route(t), route(t)
	rule := live["spec"].(map[string]any)["rules"].([]any)[0].(map[string]any)
	stable := backends(live)[0].(map[string]any)
	stable["weight"] = float64(75)
	canary := clone(t, stable)
	canary["name"], canary["weight"] = "shop-canary", float64(25)
	rule["backendRefs"] = []any{stable, canary}
	if reflect.DeepEqual(git, live) || !reflect.DeepEqual(normalized(t, git), normalized(t, live)) {
		t.Errorf("git %v, live %v", normalized(t, git), normalized(t, live))
	}
	// What the team changes is seen.
	stable["port"] = float64(81)
	if reflect.DeepEqual(normalized(t, git), normalized(t, live)) {
		t.Error("another port is not seen")
	}
}

// The API server fills in the rest of `behavior` once it is there.
func TestAnAutoscalerThatMayNotScaleDownIsNoDifference(t *testing.T) {
	const head = "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: shop}, spec: {maxReplicas: 9"
	live := document(t, head+", behavior: {scaleUp: {selectPolicy: Max}, scaleDown: {selectPolicy: Disabled}}}}")
	for _, behavior := range []string{"", ", behavior: {scaleDown: {policies: [{type: Pods}]}}"} {
		git := document(t, head+behavior+"}}")
		if !reflect.DeepEqual(normalized(t, git), normalized(t, live)) {
			t.Errorf("git %v, live %v", normalized(t, git), normalized(t, live))
		}
		git["spec"].(map[string]any)["maxReplicas"] = float64(3)
		if reflect.DeepEqual(normalized(t, git), normalized(t, live)) {
			t.Error("another maxReplicas is not seen")
		}
	}
}
