package gitops

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// The actions that Argo CD offers, as the operator calls them.
var actions = map[string]string{
	"approve": "Approve", "promote-full": "Promote", "abort": "Abort", "retry": "Retry", "hold": "Hold", "resume": "Resume",
}

// What argocd-cm.yaml holds: tests/it/gitops.rs makes it of the files.
type customization struct {
	Discovery   string `json:"discovery.lua"`
	Definitions []struct {
		Name   string `json:"name"`
		Action string `json:"action.lua"`
	} `json:"definitions"`
}

func argocd(t *testing.T) (health string, custom customization) {
	t.Helper()
	config := decode[struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Data             map[string]string
	}](t, read(t, gitops+"/argocd/argocd-cm.yaml"))
	health = config.Data["resource.customizations.health.sluice.dev_Rollout"]
	custom = decode[customization](t, []byte(config.Data["resource.customizations.actions.sluice.dev_Rollout"]))
	if health == "" || custom.Discovery == "" || len(custom.Definitions) != len(actions) || len(config.Data) != 2 {
		t.Fatalf("argocd-cm.yaml is not complete: %d actions", len(custom.Definitions))
	}
	return health, custom
}

// run does with a script what Argo CD does: a fresh interpreter without standard libraries but package, base and table,
// `require "os"` with time and date, the object as the global `obj`, one second.
func run(t *testing.T, script string, object map[string]any) any {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		call := lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	state.PreloadModule("os", func(state *lua.LState) int {
		state.Push(state.SetFuncs(state.NewTable(), map[string]lua.LGFunction{"time": osTime, "date": osDate}))
		return 1
	})
	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limit)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	return fromLua(t, state.Get(-1))
}

func osTime(state *lua.LState) int {
	state.Push(lua.LNumber(time.Now().Unix()))
	return 1
}

// Of the formats only the one that is used.
func osDate(state *lua.LState) int {
	if state.CheckString(1) != "!%Y%m%d%H%M%S" {
		state.RaiseError("a format that this test does not know")
	}
	state.Push(lua.LString(time.Now().UTC().Format("20060102150405")))
	return 1
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

// An empty table is a list, as for Argo CD: an empty object cannot be told from it.
func fromLua(t *testing.T, value lua.LValue) any {
	t.Helper()
	switch value := value.(type) {
	case lua.LBool:
		return bool(value)
	case lua.LNumber:
		return float64(value)
	case lua.LString:
		return string(value)
	case *lua.LTable:
		list, object := []any{}, map[string]any{}
		value.ForEach(func(key, item lua.LValue) {
			if _, number := key.(lua.LNumber); number {
				list = append(list, fromLua(t, item))
			} else {
				object[key.String()] = fromLua(t, item)
			}
		})
		if len(object) == 0 {
			return list
		}
		if len(list) > 0 {
			t.Fatal("a table that is a list and an object")
		}
		return object
	}
	t.Fatalf("a script returned %s", value.Type())
	return nil
}

func TestHealthOfEveryPhase(t *testing.T) {
	script, _ := argocd(t)
	for _, one := range rollouts(t) {
		want := map[string]any{
			"status":  phases(t)[one.Phase].ArgoCD,
			"message": one.Object["status"].(map[string]any)["message"],
		}
		if got := run(t, script, one.Object); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, wanted %v", one.name(), got, want)
		}
	}
}

func TestHealthOfWhatTheOperatorHasNotSeen(t *testing.T) {
	script, _ := argocd(t)
	for name, object := range unseen(t) {
		if got := run(t, script, object).(map[string]any); got["status"] != "Progressing" || got["message"] == "" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What the operator honours and nobody needs a button for: Resume while others have changed the route but not too often,
// Retry of a version that rolls past the gate already.
func ofNoUse(action string, at rollout) bool {
	held := at.Object["status"].(map[string]any)["hold"] != nil || at.Reason == "TrafficConflict"
	return action == "resume" && !held || action == "retry" && at.name() == "Adopting/Bypassed"
}

func TestActionsAreOfferedWhenTheOperatorHonoursThem(t *testing.T) {
	_, custom := argocd(t)
	ever := map[string]bool{}
	for _, one := range rollouts(t) {
		for name, offered := range run(t, custom.Discovery, one.Object).(map[string]any) {
			disabled := offered.(map[string]any)["disabled"].(bool)
			honoured := slices.Contains(one.Honoured, actions[name])
			if honoured == disabled && !(honoured && ofNoUse(name, one)) {
				t.Errorf("%s: %s is honoured: %v, disabled: %v", one.name(), name, honoured, disabled)
			}
			ever[name] = ever[name] || !disabled
		}
	}
	for name := range actions {
		if !ever[name] {
			t.Errorf("%s is never offered", name)
		}
	}
	// Without a status nothing has to be told apart: no script fails, and nothing of an attempt is offered.
	for name, offered := range run(t, custom.Discovery, unseen(t)["created"]).(map[string]any) {
		if disabled := offered.(map[string]any)["disabled"].(bool); disabled == (name == "hold") {
			t.Errorf("without a status: %s disabled: %v", name, disabled)
		}
	}
}

func TestActionsMakeInterventions(t *testing.T) {
	_, custom := argocd(t)
	for _, definition := range custom.Definitions {
		tried := 0
		for _, one := range rollouts(t) {
			if !slices.Contains(one.Honoured, actions[definition.Name]) {
				continue
			}
			tried++
			list := run(t, definition.Action, one.Object).([]any)
			impacted := list[0].(map[string]any)
			made := impacted["resource"].(map[string]any)
			metadata := made["metadata"].(map[string]any)
			name := metadata["name"].(string)
			if !regexp.MustCompile(`^shop-`+definition.Name+`-\d{14}$`).MatchString(name) {
				t.Errorf("%s: name %s", definition.Name, name)
			}
			spec := map[string]any{
				"rollout": "shop", "action": actions[definition.Name], "reason": "asked for in Argo CD",
			}
			// What moves an attempt names it: seen late, it has no effect on the next one.
			if slices.Contains([]string{"approve", "promote-full", "abort"}, definition.Name) {
				spec["release"] = one.Object["status"].(map[string]any)["run"].(map[string]any)["release"]
			}
			want := map[string]any{
				"apiVersion": "sluice.dev/v1alpha1", "kind": "Intervention", "spec": spec,
				"metadata": map[string]any{
					"name": name, "namespace": "demo",
					"ownerReferences": []any{map[string]any{
						"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "name": "shop", "uid": "uid-rollout",
					}},
				},
			}
			if len(list) != 1 || impacted["operation"] != "create" || !reflect.DeepEqual(made, want) {
				t.Errorf("%s at %s: %s", definition.Name, one.name(), fmt.Sprint(list))
			}
		}
		if tried == 0 {
			t.Errorf("%s was never tried", definition.Name)
		}
	}
}
