package charts

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

var podSecurity = func() policy.Evaluator {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err)
	}
	return evaluator
}()

// Uses the code of the admission plugin. A SpinApp has no field for a security context, so its pods need a namespace at
// `baseline`.
func podsPassPodSecurity(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		level := api.LevelRestricted
		if workload.byOperator {
			level = api.LevelBaseline
		}
		template := workload.template
		result := policy.AggregateCheckResults(podSecurity.EvaluatePod(
			api.LevelVersion{Level: level, Version: api.LatestVersion()}, &template.ObjectMeta, &template.Spec))
		if !result.Allowed {
			problems = append(problems, fmt.Sprintf("%s: not %s: %s", workload, level, result.ForbiddenDetail()))
		}
	}
	return problems
}

// Without a CPU limit, which would throttle, and with a memory limit, so that a leak affects one pod only.
func resourcesAreBounded(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		for _, container := range workload.containers() {
			requests, limits := container.Resources.Requests, container.Resources.Limits
			for what, wrong := range map[string]bool{
				"no CPU request":                   requests.Cpu().IsZero(),
				"no memory request":                requests.Memory().IsZero(),
				"no memory limit":                  limits.Memory().IsZero(),
				"a CPU limit":                      !limits.Cpu().IsZero(),
				"more memory requested than limit": requests.Memory().Cmp(*limits.Memory()) > 0,
			} {
				if wrong {
					problems = append(problems, fmt.Sprintf("%s: container %s has %s", workload, container.Name, what))
				}
			}
		}
	}
	return problems
}

func rootIsReadOnly(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		if workload.byOperator {
			continue
		}
		for _, container := range workload.containers() {
			security := container.SecurityContext
			if security == nil || security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
				problems = append(problems, fmt.Sprintf("%s: container %s may write to its root", workload, container.Name))
			}
		}
	}
	return problems
}

// Unless a RoleBinding gives the pod rights at the API server.
func tokensAreNotMounted(r rendering) (problems []string) {
	bound := map[string]bool{}
	for _, binding := range r.ofKind("rbac.authorization.k8s.io", "RoleBinding") {
		for _, subject := range binding.maps("subjects") {
			bound[fmt.Sprint(subject["name"])] = true
		}
	}
	for _, workload := range r.workloads() {
		spec := workload.template.Spec
		mounted := spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken
		if mounted && !workload.byOperator && !bound[spec.ServiceAccountName] {
			problems = append(problems, fmt.Sprintf("%s: automountServiceAccountToken is not false", workload))
		}
	}
	for _, account := range r.ofKind("", "ServiceAccount") {
		if account.at("automountServiceAccountToken") != false {
			problems = append(problems, fmt.Sprintf("%s: automountServiceAccountToken is not false", account))
		}
	}
	return problems
}

func imagesHaveVersions(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		for _, container := range workload.containers() {
			_, tag, _ := strings.Cut(container.Image[strings.LastIndex(container.Image, "/")+1:], ":")
			if tag == "" || strings.HasPrefix(tag, "latest") {
				problems = append(problems, fmt.Sprintf("%s: container %s: %q has no version", workload, container.Name, container.Image))
			}
		}
	}
	return problems
}

func probesNamePortsThatAreThere(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		for _, container := range workload.containers() {
			for name, probe := range map[string]*corev1.Probe{
				"startup":   container.StartupProbe,
				"readiness": container.ReadinessProbe,
				"liveness":  container.LivenessProbe,
			} {
				port := portOf(probe)
				if port != nil && !hasPort(container, *port) {
					problems = append(problems, fmt.Sprintf("%s: container %s: no port %s for the %s probe",
						workload, container.Name, port, name))
				}
			}
		}
	}
	return problems
}

// Pods that run forever have startup, readiness and liveness probes.
func servingPodsHaveProbes(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		if workload.selector == nil || workload.byOperator {
			continue
		}
		main := workload.template.Spec.Containers[0]
		for name, probe := range map[string]*corev1.Probe{
			"startup": main.StartupProbe, "readiness": main.ReadinessProbe, "liveness": main.LivenessProbe,
		} {
			if probe == nil {
				problems = append(problems, fmt.Sprintf("%s: no %s probe", workload, name))
			}
		}
	}
	for _, app := range r.ofKind("core.spinkube.dev", "SpinApp") {
		for _, name := range []string{"readiness", "liveness"} {
			if app.text("spec", "checks", name, "httpGet", "path") == "" {
				problems = append(problems, fmt.Sprintf("%s: no %s check", app, name))
			}
		}
	}
	return problems
}

func portOf(probe *corev1.Probe) *intstr.IntOrString {
	switch {
	case probe == nil:
		return nil
	case probe.HTTPGet != nil:
		return &probe.HTTPGet.Port
	case probe.TCPSocket != nil:
		return &probe.TCPSocket.Port
	default:
		return nil
	}
}

// hasPort is true if a container has a port of this name or number.
func hasPort(container corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(container.Ports, func(has corev1.ContainerPort) bool {
		if port.Type == intstr.String {
			return has.Name == port.StrVal
		}
		return has.ContainerPort == port.IntVal
	})
}
