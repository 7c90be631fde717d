package charts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
)

// queriesOf are the queries and conditions of a preset's analyses, by template and metric: `canary errors`.
func queriesOf(t *testing.T, version string) (queries, conditions map[string]string) {
	t.Helper()
	queries, conditions = map[string]string{}, map[string]string{}
	r := preset(t, helloAPI, "values.rollout.yaml", "app-space")
	for _, template := range r.ofKind("argoproj.io", "AnalysisTemplate") {
		for _, fields := range template.maps("spec", "metrics") {
			metric := object{unstructuredOf(fields)}
			name := strings.TrimPrefix(template.GetName(), "hello-api-") + " " + metric.text("name")
			queries[name] = strings.ReplaceAll(metric.text("provider", "prometheus", "query"), "{{args.version}}", version)
			conditions[name] = metric.text("successCondition")
		}
	}
	return queries, conditions
}

// The conditions, evaluated as the controller does: `result` is what Prometheus answered.
func TestConditionsOfAnalyses(t *testing.T) {
	_, conditions := queriesOf(t, "")
	none := []float64{}
	for metric, results := range map[string]struct{ good, bad [][]float64 }{
		"canary scraped":       {[][]float64{{1}, {3}}, [][]float64{none, {0}, {1, 1}}},
		"canary errors":        {[][]float64{none, {0}, {0.0144}}, [][]float64{{0.0145}, {1}}},
		"canary slow-answers":  {[][]float64{none, {0}, {0.144}}, [][]float64{{0.145}, {1}}},
		"release errors":       {[][]float64{none, {0}, {0.0144}}, [][]float64{{0.0145}, {1}}},
		"release slow-answers": {[][]float64{none, {0}, {0.144}}, [][]float64{{0.145}, {1}}},
	} {
		for _, of := range []struct {
			results  [][]float64
			expected bool
		}{{results.good, true}, {results.bad, false}} {
			for _, result := range of.results {
				environment := map[string]any{"result": result}
				program, err := expr.Compile(conditions[metric], expr.Env(environment))
				if err != nil {
					t.Fatalf("%s: %s", metric, err)
				}
				if got, err := expr.Run(program, environment); err != nil || got != of.expected {
					t.Errorf("%s: %s for %v: %v, %v", metric, conditions[metric], result, got, err)
				}
			}
		}
	}
	if len(conditions) != 5 {
		t.Errorf("conditions %v, and not five", conditions)
	}
}

type promtoolSeries struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

type promtoolQuery struct {
	Expr     string           `json:"expr"`
	EvalTime string           `json:"eval_time"`
	Samples  []map[string]any `json:"exp_samples"`
}

// What Prometheus answers to the queries. The stable version is without errors, and gets sixteen times the requests: an analysis of all
// pods would not notice the new one.
func TestAnalysesMeasureTheNewVersionAlone(t *testing.T) {
	needPromtool(t, "the queries of analyses")
	// Each counts up by so many in 15 s, in its answers of 2xx and 5xx and in those of 2xx within 100 ms.
	pods := func(version string, good, bad, quick int) []promtoolSeries {
		labels := func(rest string) string {
			return `{namespace="app-space", job="hello-api", rollouts_pod_template_hash="` + version + `"` + rest + `}`
		}
		rising := func(by int) string { return fmt.Sprintf("0+%dx60", by) }
		return []promtoolSeries{
			{`birthday_host_ready` + labels(""), "1x60"},
			{`http_server_request_duration_seconds_count` + labels(`, http_route="/hello/{username}", http_response_status_code="200"`), rising(good)},
			{`http_server_request_duration_seconds_count` + labels(`, http_route="/hello/{username}", http_response_status_code="503"`), rising(bad)},
			// Probes must not count.
			{`http_server_request_duration_seconds_count` + labels(`, http_route="/health", http_response_status_code="503"`), rising(1000)},
			{`http_server_request_duration_seconds_bucket` + labels(`, http_route="/hello/{username}", http_response_status_code="200", le="0.1"`), rising(quick)},
		}
	}
	stable := pods("stable", 1024, 0, 1024)
	var tests []any
	queries, _ := queriesOf(t, "new")
	// Powers of two, whose rates and ratios are exact.
	for _, c := range []struct {
		series                 []promtoolSeries
		scraped, errors, slows any
	}{
		{pods("new", 64, 0, 64), 1, 0, 0},
		{pods("new", 48, 16, 48), 1, 0.25, 0},
		{pods("new", 64, 0, 48), 1, 0, 0.25},
		{pods("new", 0, 16, 0), 1, 1, nil},
		// No requests.
		{pods("new", 0, 0, 0), 1, nil, nil},
		// A counter that Prometheus has never seen is absent, and not zero.
		{pods("new", 64, 0, 64)[:2], 1, 0, nil},
		// It is not scraped.
		{nil, nil, nil, nil},
	} {
		var expected []promtoolQuery
		for metric, value := range map[string]any{"canary scraped": c.scraped, "canary errors": c.errors, "canary slow-answers": c.slows} {
			query := promtoolQuery{Expr: "round(" + queries[metric] + ", 0.0001)", EvalTime: "10m"}
			if value != nil {
				query.Samples = []map[string]any{{"labels": "{}", "value": value}}
			}
			expected = append(expected, query)
		}
		tests = append(tests, map[string]any{
			"interval": "15s", "input_series": append(append([]promtoolSeries{}, stable...), c.series...), "promql_expr_test": expected,
		})
	}
	if err := promtoolRules(t, "test", map[string]any{"tests": tests}); err != nil {
		t.Error(err)
	}
}

// Those of all pods are recorded by the alerts' rules.
func TestAnalysesOfAllPodsAreRecorded(t *testing.T) {
	queries, _ := queriesOf(t, "")
	for _, metric := range []string{"release errors", "release slow-answers"} {
		name, _, _ := strings.Cut(queries[metric], "{")
		if name == "" || !strings.Contains(alertsText(), "- record: "+name+"\n") {
			t.Errorf("%s: nothing records %q", metric, name)
		}
	}
}
