package charts

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// The address of the host's key-value store: what --key-value takes, as host/src/key_value.rs and the stores parse it.
var keyValueAddress = regexp.MustCompile(`^(memory` +
	`|sqlite:/\S+` +
	`|dynamodb:[A-Za-z0-9_.-]{3,255}(\?((region=[a-z0-9-]+|endpoint=https?://[^@&\s]+|create=true)(&|$))+)?` +
	`|(redis|valkey)s?://([A-Za-z0-9._~-]+@)?[^@/?\s]+(/[0-9]+)?(\?((cluster=true|sentinel=[^&\s]+|replicas=[0-9]+|password_file=/[^&\s]+)(&|$))+)?)$`)

// A store that the API opens, and what its pods must reach for it.
type store struct {
	hosts []string
	ports []int
	// Whether credentials of a role are needed.
	byRole bool
}

// storeOf is the key-value store over the network of a container, if it has one; "" is an address in a Secret.
func storeOf(address string, environment map[string]string) (store, bool, error) {
	if !keyValueAddress.MatchString(address) {
		return store{}, false, fmt.Errorf("%q is no address of a store", address)
	}
	_, hasKeys := environment["AWS_ACCESS_KEY_ID"]
	kind, rest, _ := strings.Cut(address, ":")
	switch kind {
	case "memory", "sqlite":
		return store{}, false, nil
	case "dynamodb":
		_, query, _ := strings.Cut(rest, "?")
		parameters, err := url.ParseQuery(query)
		if err != nil {
			return store{}, false, err
		}
		endpoint, err := url.Parse(parameters.Get("endpoint"))
		if err != nil {
			return store{}, false, err
		}
		port := 443
		if endpoint.Scheme == "http" {
			port = 80
		}
		if given, err := strconv.Atoi(endpoint.Port()); err == nil {
			port = given
		}
		return store{[]string{endpoint.Hostname()}, []int{port}, !hasKeys}, true, nil
	default:
		rest, query, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
		rest, _, _ = strings.Cut(rest[strings.LastIndex(rest, "@")+1:], "/")
		found := store{}
		byDefault := 6379
		if strings.Contains(query, "sentinel=") {
			// The servers that the sentinels name.
			found.ports = append(found.ports, byDefault)
			byDefault = 26379
		}
		for _, server := range strings.Split(rest, ",") {
			host, given, err := net.SplitHostPort(server)
			port := byDefault
			if err != nil {
				host = server
			} else if port, err = strconv.Atoi(given); err != nil {
				return store{}, false, err
			}
			found.hosts, found.ports = append(found.hosts, host), append(found.ports, port)
		}
		return found, true, nil
	}
}

// The host understands its address, a server of this release is there, and a NetworkPolicy of this release lets the API out to the
// store and to the credentials of its role.
func storesAreReachable(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		if !runsTheAPI(workload) || workload.byOperator {
			continue
		}
		container := workload.template.Spec.Containers[0]
		environment := r.environment(workload.object.GetNamespace(), container)
		if environment["BIRTHDAY_POSTGRES_AUTH"] == "aws-iam" {
			if out, restricted := r.egress(workload.template.Labels); restricted {
				problems = append(problems, notLetOut(workload, store{byRole: true}, out)...)
			}
		}
		address, has := environment["BIRTHDAY_KEY_VALUE"]
		if !has {
			problems = append(problems, fmt.Sprintf("%s: no BIRTHDAY_KEY_VALUE", workload))
		}
		if address == "" {
			// It is in a Secret.
			continue
		}
		opened, overNetwork, err := storeOf(address, environment)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %s", workload, err))
			continue
		}
		if !overNetwork {
			continue
		}
		problems = append(problems, r.withoutService(workload, opened)...)
		if out, restricted := r.egress(workload.template.Labels); restricted {
			problems = append(problems, notLetOut(workload, opened, out)...)
		}
	}
	return problems
}

// withoutService are the servers with a name of this namespace that no Service of the rendering has by this port.
func (r rendering) withoutService(w workload, opened store) (problems []string) {
	for i, host := range opened.hosts {
		if !strings.HasPrefix(host, w.object.GetName()) || strings.Contains(host, ".") {
			continue
		}
		if !slices.ContainsFunc(r.services(), func(service corev1.Service) bool {
			return service.Name == host && slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool {
				return int(port.Port) == opened.ports[i]
			})
		}) {
			problems = append(problems, fmt.Sprintf("%s: there is no Service %s with port %d", w, host, opened.ports[i]))
		}
	}
	return problems
}

// egress are the rules that let pods with these labels out, and whether there is a policy for them at all.
func (r rendering) egress(labels map[string]string) (rules []networkingv1.NetworkPolicyEgressRule, restricted bool) {
	for _, policy := range r.ofKind("networking.k8s.io", "NetworkPolicy") {
		spec := as[networkingv1.NetworkPolicy](policy).Spec
		if selects(&spec.PodSelector, labels) {
			rules, restricted = append(rules, spec.Egress...), true
		}
	}
	return rules, restricted
}

func notLetOut(w workload, opened store, rules []networkingv1.NetworkPolicyEgressRule) (problems []string) {
	letsOut := func(port int, cidr string) bool {
		return slices.ContainsFunc(rules, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			return slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() == port }) &&
				slices.ContainsFunc(rule.To, func(peer networkingv1.NetworkPolicyPeer) bool {
					return cidr == "" || peer.IPBlock != nil && peer.IPBlock.CIDR == cidr
				})
		})
	}
	for _, port := range opened.ports {
		if !letsOut(port, "") {
			problems = append(problems, fmt.Sprintf("%s: no NetworkPolicy lets it out to the store, port %d", w, port))
		}
	}
	if opened.byRole {
		if !letsOut(443, "") {
			problems = append(problems, fmt.Sprintf("%s: no NetworkPolicy lets it out to STS", w))
		}
		if !letsOut(80, "169.254.170.23/32") {
			problems = append(problems, fmt.Sprintf("%s: no NetworkPolicy lets it out to the agent of Pod Identity", w))
		}
	}
	return problems
}
