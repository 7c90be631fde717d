package charts

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The longest name of a kind, if it is shorter than 63: controllers append to it.
var maxNames = map[string]int{
	// A pod's label controller-revision-hash is the name, a dash and ten characters.
	"StatefulSet": 52,
	// A job's name is the name, a dash and ten characters.
	"CronJob": 52,
	// A label of the spin-operator is `app.<name>.status`.
	"SpinApp": 52,
}

func namesAreValid(r rendering) (problems []string) {
	for _, object := range r.objects {
		name := object.GetName()
		for _, wrong := range validation.IsDNS1123Label(name) {
			problems = append(problems, fmt.Sprintf("%s: name: %s", object, wrong))
		}
		if object.GetKind() == "Service" || object.GetKind() == "SpinApp" {
			for _, wrong := range validation.IsDNS1035Label(name) {
				problems = append(problems, fmt.Sprintf("%s: name of a Service: %s", object, wrong))
			}
		}
		if most, has := maxNames[object.GetKind()]; has && len(name) > most {
			problems = append(problems, fmt.Sprintf("%s: name: %d characters, and at most %d", object, len(name), most))
		}
		problems = append(problems, invalidLabels(object.String(), object.GetLabels())...)
	}
	for _, workload := range r.workloads() {
		problems = append(problems, invalidLabels("pods of "+workload.String(), workload.template.Labels)...)
		for _, container := range workload.containers() {
			for _, wrong := range validation.IsDNS1123Label(container.Name) {
				problems = append(problems, fmt.Sprintf("%s: container %q: %s", workload, container.Name, wrong))
			}
			for _, port := range container.Ports {
				for _, wrong := range validation.IsValidPortName(port.Name) {
					problems = append(problems, fmt.Sprintf("%s: port %q: %s", workload, port.Name, wrong))
				}
			}
		}
	}
	return problems
}

func invalidLabels(owner string, labels map[string]string) (problems []string) {
	for key, value := range labels {
		for _, wrong := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...) {
			problems = append(problems, fmt.Sprintf("%s: label %s=%s: %s", owner, key, value, wrong))
		}
	}
	return problems
}

func noObjectIsTwice(r rendering) (problems []string) {
	seen := map[string]bool{}
	for _, object := range r.objects {
		identity := strings.Join([]string{object.GroupVersionKind().GroupKind().String(), object.GetNamespace(), object.GetName()}, " ")
		if seen[identity] {
			problems = append(problems, identity+": twice")
		}
		seen[identity] = true
	}
	return problems
}

// Namespaced objects have their namespace, so that `helm template | kubectl apply` creates them in the same one as helm. It is
// the namespace of the release, or one of a list `namespaces` in the values.
func namespacesAreTold(r rendering) (problems []string) {
	named := map[string]bool{}
	walk(r.values, "", func(path, text string) { named[text] = named[text] || strings.Contains(path, ".namespaces.") })
	for _, object := range r.objects {
		namespace := object.GetNamespace()
		switch {
		case strings.HasPrefix(object.GetKind(), "Cluster") || object.GetKind() == "Namespace":
			if namespace != "" {
				problems = append(problems, fmt.Sprintf("%s: is of the cluster, and has a namespace", object))
			}
		case namespace == "":
			problems = append(problems, fmt.Sprintf("%s: no namespace", object))
		case namespace != r.scenario.chart.namespace && !named[namespace]:
			problems = append(problems, fmt.Sprintf("%s: namespace %s is neither that of the release nor of the values", object, namespace))
		}
	}
	return problems
}

var recommendedLabels = []string{
	"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/component",
	"app.kubernetes.io/part-of", "app.kubernetes.io/managed-by", "helm.sh/chart",
}

// Labels of pods. A change of a label replaces the pods, so they may leave out the version.
var podLabels = []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}

func labelsAreComplete(r rendering) (problems []string) {
	for _, object := range r.objects {
		for _, label := range recommendedLabels {
			if object.GetLabels()[label] == "" {
				problems = append(problems, fmt.Sprintf("%s: no label %s", object, label))
			}
		}
	}
	for _, workload := range r.workloads() {
		for _, label := range podLabels {
			if workload.template.Labels[label] == "" {
				problems = append(problems, fmt.Sprintf("%s: its pods have no label %s", workload, label))
			}
		}
	}
	return problems
}
