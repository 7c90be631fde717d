package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"charts/manifests"
)

func canaryOf(rollout object) object {
	canary, _ := rollout.at("spec", "strategy", "canary").(map[string]any)
	return object{unstructuredOf(canary)}
}

// versionServices are the Services whose selectors the controller sets to the pods of one version.
func versionServices(rollout object) []string {
	canary := canaryOf(rollout)
	names := []string{
		canary.text("stableService"), canary.text("canaryService"),
		canary.text("pingPong", "pingService"), canary.text("pingPong", "pongService"),
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// An analysis that a Rollout begins: of all its pods, or in a step.
type analysis struct {
	template   string
	arguments  map[string]string
	background bool
}

func analysesOf(rollout object) (all []analysis) {
	canary := canaryOf(rollout)
	add := func(of object, background bool) {
		arguments := map[string]string{}
		for _, argument := range of.maps("args") {
			arguments[fmt.Sprint(argument["name"])] = object{unstructuredOf(argument)}.text("valueFrom", "podTemplateHashValue")
		}
		for _, template := range of.maps("templates") {
			all = append(all, analysis{fmt.Sprint(template["templateName"]), arguments, background})
		}
	}
	if background, has := canary.at("analysis").(map[string]any); has {
		add(object{unstructuredOf(background)}, true)
	}
	for _, step := range canary.maps("steps") {
		if inStep, has := step["analysis"].(map[string]any); has {
			add(object{unstructuredOf(inStep)}, false)
		}
	}
	return all
}

// The controller refuses a Rollout whose Services, Ingress or templates are not there, and helm does not undo what it sets.
func rolloutsFindTheirParts(r rendering) (problems []string) {
	for _, rollout := range r.ofKind("argoproj.io", "Rollout") {
		missing := func(kind, name string) {
			problems = append(problems, fmt.Sprintf("%s: there is no %s %q", rollout, kind, name))
		}
		find := func(group, kind, name string) (object, bool) {
			for _, o := range r.ofKind(group, kind) {
				if o.GetName() == name {
					return o, true
				}
			}
			missing(kind, name)
			return object{}, false
		}
		canary, services := canaryOf(rollout), versionServices(rollout)
		for _, name := range services {
			if service, found := find("", "Service", name); found && service.at("spec", "selector") != nil {
				problems = append(problems, fmt.Sprintf("%s: has a selector, which the controller owns", service))
			}
		}
		if canary.at("trafficRouting") != nil && (len(services) != 2 || services[0] == services[1]) {
			problems = append(problems, fmt.Sprintf("%s: traffic routing needs two Services, and it names %q", rollout, services))
		}
		var from string
		for _, path := range [][]string{{"nginx", "stableIngress"}, {"alb", "ingress"}} {
			if name := canary.text(append([]string{"trafficRouting"}, path...)...); name != "" {
				if ingress, found := find("networking.k8s.io", "Ingress", name); found {
					from = ingress.String()
				}
			}
		}
		if plugins, _ := canary.at("trafficRouting", "plugins").(map[string]any); plugins != nil {
			gateway, _ := plugins["argoproj-labs/gatewayAPI"].(map[string]any)
			if route, found := find("gateway.networking.k8s.io", "HTTPRoute", fmt.Sprint(gateway["httpRoute"])); found {
				from = route.String()
				if gateway["namespace"] != route.GetNamespace() {
					problems = append(problems, fmt.Sprintf("%s: %s is not in namespace %v", rollout, route, gateway["namespace"]))
				}
			}
		}
		if from != "" {
			problems = append(problems, r.wrongBackends(rollout, from)...)
		}
		for _, analysis := range analysesOf(rollout) {
			template, found := find("argoproj.io", "AnalysisTemplate", analysis.template)
			if !found {
				continue
			}
			for _, argument := range template.maps("spec", "args") {
				name := fmt.Sprint(argument["name"])
				if analysis.arguments[name] != "Latest" {
					problems = append(problems, fmt.Sprintf("%s: does not give %s the hash of the new version as %s", rollout, template, name))
				}
			}
		}
	}
	return problems
}

// What divides the requests leads to the Services of both versions: nginx' Ingress to the stable one, from which the controller makes
// another; that of an ALB to an action; a route to both.
func (r rendering) wrongBackends(rollout object, from string) (problems []string) {
	canary, services := canaryOf(rollout), versionServices(rollout)
	expected := services
	if canary.at("trafficRouting", "nginx") != nil {
		expected = services[:1]
	} else if root := canary.text("trafficRouting", "alb", "rootService"); root != "" {
		expected = []string{root}
	}
	var led []string
	for _, backend := range r.backends() {
		if backend.from == from && !slices.Contains(led, backend.service) {
			led = append(led, backend.service)
		}
	}
	if !slices.Equal(led, expected) {
		problems = append(problems, fmt.Sprintf("%s: %s leads to %q, and not to %q", rollout, from, led, expected))
	}
	return problems
}

// Each step gives the new version more.
func stepsRise(r rendering) (problems []string) {
	for _, rollout := range r.ofKind("argoproj.io", "Rollout") {
		before, analyses, pauses := int64(0), 0, 0
		steps := canaryOf(rollout).maps("steps")
		for _, step := range steps {
			if weight, has := step["setWeight"].(int64); has {
				if weight <= before || weight >= 100 {
					problems = append(problems, fmt.Sprintf("%s: weight %d after %d", rollout, weight, before))
				}
				before = weight
			}
			if _, has := step["pause"]; has {
				pauses++
			}
			if _, has := step["analysis"]; has {
				analyses++
			}
		}
		if analyses > 0 && analyses != pauses {
			problems = append(problems, fmt.Sprintf("%s: %d pauses, and %d analyses", rollout, pauses, analyses))
		}
		if before == 0 {
			problems = append(problems, fmt.Sprintf("%s: has no steps", rollout))
		}
	}
	return problems
}

// An analysis ends: after a number of measurements, or with the rollout. Failures and errors of Prometheus are bounded.
func analysesAreBounded(r rendering) (problems []string) {
	background := map[string]bool{}
	for _, rollout := range r.ofKind("argoproj.io", "Rollout") {
		for _, analysis := range analysesOf(rollout) {
			background[analysis.template] = analysis.background
		}
	}
	for _, template := range r.ofKind("argoproj.io", "AnalysisTemplate") {
		if _, used := background[template.GetName()]; !used {
			problems = append(problems, fmt.Sprintf("%s: no Rollout uses it", template))
		}
		for _, fields := range template.maps("spec", "metrics") {
			metric := object{unstructuredOf(fields)}
			wrong := func(what string) {
				problems = append(problems, fmt.Sprintf("%s: %s: %s", template, metric.text("name"), what))
			}
			count, hasCount := metric.at("count").(int64)
			failures, hasFailures := metric.at("failureLimit").(int64)
			errors, hasErrors := metric.at("consecutiveErrorLimit").(int64)
			if hasCount == background[template.GetName()] {
				wrong("must have a count in a step, and none beside the steps")
			}
			if !hasFailures || hasCount && failures >= count {
				wrong("can never fail")
			}
			if !hasErrors || errors > 10 {
				wrong("has no bound on errors")
			}
			if interval, err := time.ParseDuration(metric.text("interval")); err != nil || interval < time.Second {
				wrong("has no interval")
			}
			if timeout, _ := metric.at("provider", "prometheus", "timeout").(int64); timeout < 1 || timeout > 60 {
				wrong("has no timeout")
			}
			if metric.text("provider", "prometheus", "address") == "" {
				wrong("has no address")
			}
		}
	}
	return problems
}

var (
	// A series in a query, and what is in its braces.
	series = regexp.MustCompile(`([a-z_:][a-z0-9_:]*)\{((?:[^{}]|\{\{[^{}]*\}\})*)\}`)
	// The matchers by which an analysis looks at one release, or at the new version of it.
	ownMatchers = regexp.MustCompile(`^(namespace|job|rollouts_pod_template_hash)=`)
	// How much of a budget the first alert of each objective allows.
	objective = regexp.MustCompile(`namespace_job:http_server_(\w+):ratio_rate1h > ([0-9.]+) \* (0\.[0-9]+)`)
)

// alertsText is observability/alerts.yaml.
var alertsText = sync.OnceValue(func() string {
	text, err := os.ReadFile(filepath.Join(manifests.Root, "observability/alerts.yaml"))
	if err != nil {
		panic(err)
	}
	return string(text)
})

// seriesOf are the series of queries, without the matchers of a release.
func seriesOf(text string) (all []string) {
	for _, match := range series.FindAllStringSubmatch(text, -1) {
		matchers := slices.DeleteFunc(strings.Split(match[2], ", "), func(matcher string) bool {
			return matcher == "" || ownMatchers.MatchString(matcher)
		})
		all = append(all, match[1]+"{"+strings.Join(matchers, ", ")+"}")
	}
	return all
}

// What is measured, and what of it is too much, are those of the alerts.
func analysesFollowTheAlerts(r rendering) (problems []string) {
	known := seriesOf(alertsText())
	for _, name := range []string{"errors", "slow_answers"} {
		known = append(known, "namespace_job:http_server_"+name+":ratio_rate5m{}")
	}
	// No objective: whether the new version is seen at all.
	known = append(known, "birthday_host_ready{}")
	objectives := map[string]string{}
	for _, match := range objective.FindAllStringSubmatch(alertsText(), -1) {
		objectives[strings.ReplaceAll(match[1], "_", "-")] = match[3]
	}
	for _, template := range r.ofKind("argoproj.io", "AnalysisTemplate") {
		for _, fields := range template.maps("spec", "metrics") {
			metric := object{unstructuredOf(fields)}
			wrong := func(what string) {
				problems = append(problems, fmt.Sprintf("%s: %s: %s", template, metric.text("name"), what))
			}
			measured := seriesOf(metric.text("provider", "prometheus", "query"))
			if len(measured) == 0 {
				wrong("measures nothing")
			}
			for _, series := range measured {
				if !slices.Contains(known, series) {
					wrong(series + " is not in observability/alerts.yaml")
				}
			}
			name := metric.text("name")
			if name == "scraped" {
				continue
			}
			if expected := objectives[name]; expected == "" || !strings.HasSuffix(metric.text("successCondition"), " * "+expected) {
				wrong(fmt.Sprintf("%s is not the objective of the alerts, %q", metric.text("successCondition"), expected))
			}
		}
	}
	return problems
}

// The figures have the labels that the queries ask for.
func analysesFindFigures(r rendering) (problems []string) {
	for _, template := range r.ofKind("argoproj.io", "AnalysisTemplate") {
		monitors := r.ofKind("monitoring.coreos.com", "ServiceMonitor")
		if len(monitors) != 1 {
			problems = append(problems, fmt.Sprintf("%s: %d ServiceMonitors", template, len(monitors)))
			continue
		}
		job := ""
		for _, service := range r.services() {
			if selects(equalitySelector(monitors[0].labelsAt("spec", "selector", "matchLabels")), service.Labels) {
				job = service.Labels[monitors[0].text("spec", "jobLabel")]
			}
		}
		labels, _ := monitors[0].at("spec", "podTargetLabels").([]any)
		for _, fields := range template.maps("spec", "metrics") {
			query := object{unstructuredOf(fields)}.text("provider", "prometheus", "query")
			for _, match := range series.FindAllStringSubmatch(query, -1) {
				matchers := strings.Split(match[2], ", ")
				expected := []string{fmt.Sprintf("namespace=%q", template.GetNamespace()), fmt.Sprintf("job=%q", job)}
				if len(template.maps("spec", "args")) > 0 {
					expected = append(expected, `rollouts_pod_template_hash="{{args.version}}"`)
					if !slices.Contains(labels, any("rollouts-pod-template-hash")) {
						problems = append(problems, fmt.Sprintf("%s: %s does not give the label", template, monitors[0]))
					}
				}
				for _, matcher := range expected {
					if !slices.Contains(matchers, matcher) {
						problems = append(problems, fmt.Sprintf("%s: %s is not limited by %s", template, match[1], matcher))
					}
				}
			}
		}
	}
	return problems
}
