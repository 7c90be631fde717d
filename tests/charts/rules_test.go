package charts

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// A rule returns the problems of a rendering, one line each.
type rule func(rendering) []string

// rules apply to every scenario under every naming.
var rules = []rule{
	podsPassPodSecurity, resourcesAreBounded, rootIsReadOnly, tokensAreNotMounted, imagesHaveVersions,
	probesNamePortsThatAreThere, servingPodsHaveProbes,
	namesAreValid, noObjectIsTwice, namespacesAreTold, labelsAreComplete,
	workloadsSelectTheirOwnPods, selectorsAreStable, servicesLeadToPods, disruptionBudgetsSelectPods,
	networkPoliciesSelectPods, scalersHaveTargets, monitorsFindServices, routesLeadToServices,
	referencesResolve, environmentIsKnown, secretFilesAreMounted, storesAreReachable,
	drainFitsGracePeriod, noSecretIsInClear,
	rolloutsFindTheirParts, stepsRise, analysesAreBounded, analysesFollowTheAlerts, analysesFindFigures,
}

func (r rule) String() string {
	return strings.TrimPrefix(runtime.FuncForPC(reflect.ValueOf(r).Pointer()).Name(), "charts.")
}

func TestRules(t *testing.T) {
	for _, rule := range rules {
		t.Run(rule.String(), func(t *testing.T) {
			for _, r := range allRenderings(t) {
				for _, problem := range rule(r) {
					t.Errorf("%s: %s", r, problem)
				}
			}
		})
	}
}

// printSummary prints how much was checked.
func printSummary() {
	all, err := renderings()
	if err != nil {
		return
	}
	objects := 0
	for _, r := range all {
		objects += len(r.objects)
	}
	fmt.Printf("%d scenarios under %d namings each: %d objects\n", len(allScenarios()), len(namings), objects)
}
