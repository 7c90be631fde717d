package charts

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"charts/manifests"
	"sigs.k8s.io/yaml"
)

// The address in observability/alerts.yaml, which `prometheusRule.runbook` replaces.
const exampleRunbook = "https://github.com/example/birthday/blob/main/docs/runbook.md"

// What each entry says, in this order.
var partsOfEntries = []string{"**Means.**", "**Look.**", "**Mend.**", "**Escalate.**"}

// alerts are those of observability/alerts.yaml by their names: the addresses of their runbooks.
func alerts(t *testing.T) map[string][]string {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `json:"alert"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal([]byte(manifests.ReadFile(t, filepath.Join(manifests.Root, "observability/alerts.yaml"))), &file); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert != "" {
				found[rule.Alert] = append(found[rule.Alert], rule.Annotations["runbook_url"])
			}
		}
	}
	return found
}

func runbook(t *testing.T) string {
	t.Helper()
	return manifests.ReadFile(t, filepath.Join(manifests.Root, "docs/runbook.md"))
}

// entries are the sections of the runbook that are named as alerts are.
func entries(text string) map[string]string {
	found := map[string]string{}
	for _, section := range strings.Split(text, "\n## ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		if strings.HasPrefix(heading, "Birthday") {
			found[heading] = body
		}
	}
	return found
}

// Each alert has an entry, to which it links, and each entry an alert.
func TestEveryAlertHasAnEntryInTheRunbook(t *testing.T) {
	linked, entries := alerts(t), entries(runbook(t))
	if len(linked) == 0 {
		t.Fatal("there are no alerts")
	}
	names, headings := slices.Sorted(maps.Keys(linked)), slices.Sorted(maps.Keys(entries))
	if !slices.Equal(names, headings) {
		t.Errorf("the alerts are %v, and the entries of docs/runbook.md %v", names, headings)
	}
	for alert, addresses := range linked {
		for _, address := range addresses {
			// A heading's anchor is its text in lower case.
			if expected := exampleRunbook + "#" + strings.ToLower(alert); address != expected {
				t.Errorf("%s: its runbook_url is %q, and not %s", alert, address, expected)
			}
		}
		rest := entries[alert]
		for _, part := range partsOfEntries {
			_, after, is := strings.Cut(rest, part)
			if !is {
				t.Errorf("%s: its entry lacks %s, or it is not in its place", alert, part)
			}
			rest = after
		}
	}
}

// A test of the host checks the metrics of alerts and dashboard, so those of the runbook have to be among them, or documented.
func TestRunbookUsesMetricsThatThereAre(t *testing.T) {
	known := ""
	for _, file := range []string{"observability/alerts.yaml", "observability/dashboard.json", "docs/operations.md"} {
		known += manifests.ReadFile(t, filepath.Join(manifests.Root, file))
	}
	names := regexp.MustCompile(`\b(birthday_host|db_client|http_server|http_client|process|namespace_job)[a-z_:]*[_:][a-z0-9_:]+`).FindAllString(runbook(t), -1)
	if len(names) < 10 {
		t.Fatalf("the runbook has the metrics %v", names)
	}
	for _, name := range names {
		if !strings.Contains(known, name) {
			t.Errorf("%s is no metric of alerts, dashboard or docs/operations.md", name)
		}
	}
}

func TestPromtoolTakesTheQueriesOfTheRunbook(t *testing.T) {
	needPromtool(t, "the queries of the runbook")
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, block := range regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllStringSubmatch(runbook(t), -1) {
		// One query a line.
		for _, query := range strings.Split(strings.TrimSpace(block[1]), "\n") {
			rules = append(rules, rule{fmt.Sprintf("query:%d", len(rules)), query})
		}
	}
	if len(rules) < 10 {
		t.Fatalf("the runbook has the queries %v", rules)
	}
	content := map[string]any{"groups": []any{map[string]any{"name": "runbook", "rules": rules}}}
	if err := promtoolRules(t, "check", content); err != nil {
		t.Error(err)
	}
}
