package charts

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// selects says whether a selector selects labels; an absent one selects nothing.
func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(set))
}

func equalitySelector(matchLabels map[string]string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: matchLabels}
}

// selected are the workloads whose pods a selector selects in a namespace.
func (r rendering) selected(namespace string, selector *metav1.LabelSelector) []workload {
	var found []workload
	for _, workload := range r.workloads() {
		if workload.object.GetNamespace() == namespace && selects(selector, workload.template.Labels) {
			found = append(found, workload)
		}
	}
	return found
}

// A Deployment or StatefulSet has its own pods and no others'.
func workloadsSelectTheirOwnPods(r rendering) (problems []string) {
	for _, owner := range r.workloads() {
		if owner.selector == nil {
			continue
		}
		selector := equalitySelector(owner.selector)
		if !selects(selector, owner.template.Labels) {
			problems = append(problems, fmt.Sprintf("%s: does not select its pods", owner))
		}
		for _, other := range r.selected(owner.object.GetNamespace(), selector) {
			if other.String() != owner.String() {
				problems = append(problems, fmt.Sprintf("%s: selects the pods of %s", owner, other))
			}
		}
		for _, constraint := range owner.template.Spec.TopologySpreadConstraints {
			if !selects(constraint.LabelSelector, owner.template.Labels) {
				problems = append(problems, fmt.Sprintf("%s: is spread by the pods of others", owner))
			}
		}
	}
	return problems
}

// What changes from release to release would make upgrades fail, as selectors cannot be changed.
func selectorsAreStable(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		for _, label := range []string{"app.kubernetes.io/version", "helm.sh/chart", "app.kubernetes.io/managed-by"} {
			if _, has := workload.selector[label]; has {
				problems = append(problems, fmt.Sprintf("%s: selects by %s", workload, label))
			}
		}
	}
	return problems
}

// A Service leads to the serving pods of one workload, by a port that they have.
func servicesLeadToPods(r rendering) (problems []string) {
	for _, service := range r.services() {
		selected := r.selected(service.Namespace, equalitySelector(service.Spec.Selector))
		if len(selected) != 1 {
			problems = append(problems, fmt.Sprintf("Service/%s: selects the pods of %v, and not of one", service.Name, selected))
			continue
		}
		for _, port := range service.Spec.Ports {
			target := port.TargetPort
			if target == (intstr.IntOrString{}) {
				target = intstr.FromInt32(port.Port)
			}
			if !anyHasPort(selected, target) {
				problems = append(problems, fmt.Sprintf("Service/%s: port %d leads to %s, which is no port of %s",
					service.Name, port.Port, target.String(), selected[0]))
			}
		}
	}
	return problems
}

func anyHasPort(workloads []workload, port intstr.IntOrString) bool {
	for _, workload := range workloads {
		for _, container := range workload.containers() {
			if hasPort(container, port) {
				return true
			}
		}
	}
	return false
}

func disruptionBudgetsSelectPods(r rendering) (problems []string) {
	for _, budget := range r.ofKind("policy", "PodDisruptionBudget") {
		selector := as[policyv1.PodDisruptionBudget](budget).Spec.Selector
		if selected := r.selected(budget.GetNamespace(), selector); len(selected) != 1 {
			problems = append(problems, fmt.Sprintf("%s: selects the pods of %v, and not of one", budget, selected))
		}
	}
	return problems
}

// A policy is about pods that there are, lets in by ports that they have, and those of its peers that are in the same
// namespace are there, too.
func networkPoliciesSelectPods(r rendering) (problems []string) {
	for _, object := range r.ofKind("networking.k8s.io", "NetworkPolicy") {
		spec := as[networkingv1.NetworkPolicy](object).Spec
		selected := r.selected(object.GetNamespace(), &spec.PodSelector)
		if len(selected) == 0 {
			problems = append(problems, fmt.Sprintf("%s: selects no pods", object))
		}
		var peers []networkingv1.NetworkPolicyPeer
		for _, ingress := range spec.Ingress {
			peers = append(peers, ingress.From...)
			for _, port := range ingress.Ports {
				if port.Port != nil && !anyHasPort(selected, *port.Port) {
					problems = append(problems, fmt.Sprintf("%s: lets in by %s, which is no port of %v", object, port.Port, selected))
				}
			}
		}
		for _, egress := range spec.Egress {
			peers = append(peers, egress.To...)
		}
		for _, peer := range peers {
			if peer.PodSelector != nil && peer.NamespaceSelector == nil && len(r.selected(object.GetNamespace(), peer.PodSelector)) == 0 {
				problems = append(problems, fmt.Sprintf("%s: a peer is no pod of this release: %s",
					object, metav1.FormatLabelSelector(peer.PodSelector)))
			}
		}
	}
	return problems
}

// Where something else decides how many pods there are, the workload must not say so, too.
func scalersHaveTargets(r rendering) (problems []string) {
	scalers := append(r.ofKind("autoscaling", "HorizontalPodAutoscaler"), r.ofKind("keda.sh", "ScaledObject")...)
	for _, scaler := range scalers {
		target := scaler.text("spec", "scaleTargetRef", "name")
		found := false
		for _, workload := range r.workloads() {
			if workload.object.GetName() != target || workload.selector == nil {
				continue
			}
			found = true
			kind := scaler.text("spec", "scaleTargetRef", "apiVersion") + " " + scaler.text("spec", "scaleTargetRef", "kind")
			expected := workload.object.GetAPIVersion() + " " + workload.object.GetKind()
			if workload.byOperator {
				expected = "apps/v1 Deployment"
			}
			if kind != expected {
				problems = append(problems, fmt.Sprintf("%s: scales a %s, and %s is a %s", scaler, kind, target, expected))
			}
			if workload.object.at("spec", "replicas") != nil {
				problems = append(problems, fmt.Sprintf("%s: has replicas, and %s scales it", workload, scaler))
			}
			if workload.byOperator && workload.object.at("spec", "enableAutoscaling") != true {
				problems = append(problems, fmt.Sprintf("%s: has no enableAutoscaling, and %s scales it", workload, scaler))
			}
		}
		if !found {
			problems = append(problems, fmt.Sprintf("%s: there is no %q to scale", scaler, target))
		}
	}
	if len(scalers) > 1 {
		problems = append(problems, fmt.Sprintf("more than one scales: %v", scalers))
	}
	return problems
}

func monitorsFindServices(r rendering) (problems []string) {
	for _, monitor := range r.ofKind("monitoring.coreos.com", "ServiceMonitor") {
		selector := equalitySelector(monitor.labelsAt("spec", "selector", "matchLabels"))
		found := slices.DeleteFunc(r.services(), func(service corev1.Service) bool {
			return service.Namespace != monitor.GetNamespace() || !selects(selector, service.Labels)
		})
		if len(found) != 1 {
			problems = append(problems, fmt.Sprintf("%s: finds %d Services, and not one", monitor, len(found)))
			continue
		}
		for _, endpoint := range monitor.maps("spec", "endpoints") {
			if !slices.ContainsFunc(found[0].Spec.Ports, func(port corev1.ServicePort) bool { return port.Name == endpoint["port"] }) {
				problems = append(problems, fmt.Sprintf("%s: no port %v at Service/%s", monitor, endpoint["port"], found[0].Name))
			}
		}
		if label := monitor.text("spec", "jobLabel"); label != "" && found[0].Labels[label] == "" {
			problems = append(problems, fmt.Sprintf("%s: no label %s at Service/%s", monitor, label, found[0].Name))
		}
	}
	return problems
}

// A backend is what an Ingress or a route leads to: a port of a Service, by name or number.
type backend struct{ from, service, port string }

func (r rendering) backends() []backend {
	var all []backend
	for _, ingress := range r.ofKind("networking.k8s.io", "Ingress") {
		for _, rule := range as[networkingv1.Ingress](ingress).Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				to := path.Backend.Service
				port := to.Port.Name
				if port == "" {
					port = fmt.Sprint(to.Port.Number)
				}
				all = append(all, backend{ingress.String(), to.Name, port})
			}
		}
	}
	for _, route := range r.ofKind("gateway.networking.k8s.io", "HTTPRoute") {
		for _, rule := range route.maps("spec", "rules") {
			to, _ := rule["backendRefs"].([]any)
			for _, to := range to {
				to := to.(map[string]any)
				all = append(all, backend{route.String(), fmt.Sprint(to["name"]), fmt.Sprint(to["port"])})
			}
		}
	}
	return all
}

// Ingresses and routes lead to ports of Services that there are, or that the values name.
func routesLeadToServices(r rendering) (problems []string) {
	ports, own := map[string]bool{}, map[string]bool{}
	for _, service := range r.services() {
		own[service.Name] = true
		for _, port := range service.Spec.Ports {
			ports[fmt.Sprint(service.Name, " ", port.Port)] = true
			ports[fmt.Sprint(service.Name, " ", port.Name)] = true
		}
	}
	for _, rollout := range r.ofKind("argoproj.io", "Rollout") {
		if action := rollout.text("spec", "strategy", "canary", "trafficRouting", "alb", "rootService"); action != "" {
			ports[action+" use-annotation"] = true
		}
	}
	// Another Service than those of the chart has to be named by the values.
	named := textsOf(r.values)
	leads := map[string]bool{}
	for _, backend := range r.backends() {
		leads[backend.from] = true
		if !ports[backend.service+" "+backend.port] && (own[backend.service] || !named[backend.service]) {
			problems = append(problems, fmt.Sprintf("%s: leads to port %s of Service %s, which is not there",
				backend.from, backend.port, backend.service))
		}
	}
	for _, from := range append(r.ofKind("networking.k8s.io", "Ingress"), r.ofKind("gateway.networking.k8s.io", "HTTPRoute")...) {
		if !leads[from.String()] {
			problems = append(problems, fmt.Sprintf("%s: leads nowhere", from))
		}
	}
	return problems
}
