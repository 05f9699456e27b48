package gitops

import (
	"bytes"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

type check struct {
	APIVersion, Kind            string
	Current, Failed, InProgress string
}

func exprs(t *testing.T) check {
	t.Helper()
	for _, text := range bytes.Split(read(t, gitops+"/flux/shop.yaml"), []byte("\n---\n")) {
		one := decode[struct {
			APIVersion, Kind string
			Metadata         map[string]any
			Spec             map[string]any
		}](t, text)
		if one.Kind != "Kustomization" {
			continue
		}
		list := one.Spec["healthCheckExprs"].([]any)
		if len(list) != 1 {
			t.Fatalf("%d checks", len(list))
		}
		of := list[0].(map[string]any)
		word := func(key string) string { return of[key].(string) }
		return check{word("apiVersion"), word("kind"), word("current"), word("failed"), word("inProgress")}
	}
	t.Fatal("flux/shop.yaml has no Kustomization")
	return check{}
}

// evaluate does with an expression what Flux does: parsed, not checked, over the fields of the object.
func evaluate(t *testing.T, expr string, object map[string]any) (bool, error) {
	t.Helper()
	env, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
	)
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Parse(expr)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := program.Eval(object)
	if err != nil {
		return false, err
	}
	return value.Value().(bool), nil
}

// word is how Flux calls what it sees: first the generations, then inProgress, failed, current. What cannot be evaluated
// is asked again until the timeout, as what is in progress.
func word(t *testing.T, check check, object map[string]any) string {
	t.Helper()
	if status, there := object["status"].(map[string]any); there {
		if status["observedGeneration"] != object["metadata"].(map[string]any)["generation"] {
			return "InProgress"
		}
	}
	for _, of := range []struct{ expr, word string }{
		{check.InProgress, "InProgress"}, {check.Failed, "Failed"}, {check.Current, "Current"},
	} {
		holds, err := evaluate(t, of.expr, object)
		if err != nil {
			return "InProgress"
		}
		if holds {
			return of.word
		}
	}
	return "InProgress"
}

func TestFluxSeesEveryPhase(t *testing.T) {
	check := exprs(t)
	if check.APIVersion != "sluice.dev/v1alpha1" || check.Kind != "Rollout" {
		t.Errorf("the check is for %s %s", check.APIVersion, check.Kind)
	}
	for _, one := range rollouts(t) {
		// An error would hide behind InProgress.
		for _, expr := range []string{check.InProgress, check.Failed, check.Current} {
			if _, err := evaluate(t, expr, one.Object); err != nil {
				t.Errorf("%s: %s: %v", one.name(), expr, err)
			}
		}
		want := phases(t)[one.Phase].Flux
		if got := word(t, check, one.Object); got != want {
			t.Errorf("%s: %s, wanted %s", one.name(), got, want)
		}
		if got := kstatus(one.Object); got != want {
			t.Errorf("%s: kstatus says %s, wanted %s", one.name(), got, want)
		}
	}
	for name, object := range unseen(t) {
		if got := word(t, check, object); got != "InProgress" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// kstatus, as everybody has it who names no expressions: generations, then Reconciling and Stalled in the order of the
// list, then Ready.
func kstatus(object map[string]any) string {
	status := object["status"].(map[string]any)
	if status["observedGeneration"] != object["metadata"].(map[string]any)["generation"] {
		return "InProgress"
	}
	ready := ""
	for _, one := range status["conditions"].([]any) {
		condition := one.(map[string]any)
		holds := condition["status"] == "True"
		switch {
		case condition["type"] == "Reconciling" && holds:
			return "InProgress"
		case condition["type"] == "Stalled" && holds:
			return "Failed"
		case condition["type"] == "Ready":
			ready = condition["status"].(string)
		}
	}
	if ready == "False" || ready == "Unknown" {
		return "InProgress"
	}
	return "Current"
}
