package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"sigs.k8s.io/yaml"
)

// The refusals of a chart: values over a base that renders, and what the message must name.
type refusals struct {
	Bases    map[string]map[string]any `json:"bases"`
	Refusals []struct {
		Base   string         `json:"base"`
		Values map[string]any `json:"values"`
		Names  string         `json:"names"`
	} `json:"refusals"`
}

func readRefusals(t *testing.T, chart chart) refusals {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("refusals", chart.name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var read refusals
	if err := yaml.UnmarshalStrict(text, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// Each mistake is refused by both helms, with a message that names the key.
func TestMistakesAreRefused(t *testing.T) {
	for _, chart := range charts {
		t.Run(chart.name, func(t *testing.T) {
			table := readRefusals(t, chart)
			folder := t.TempDir()
			for name, values := range table.Bases {
				if err := renderValues("helm", chart, values, folder); err != nil {
					t.Errorf("base %s: %s", name, err)
				}
			}
			problems := make([]string, len(table.Refusals))
			inParallel(len(problems), func(i int) {
				refusal := table.Refusals[i]
				base, known := table.Bases[refusal.Base]
				if !known {
					problems[i] = "there is no such base"
					return
				}
				for _, helm := range []string{"helm", "helm3"} {
					err := renderValues(helm, chart, merged(base, refusal.Values), folder)
					if err == nil {
						problems[i] = helm + " renders it"
					} else if !regexp.MustCompile(`\b` + refusal.Names + `\b`).MatchString(err.Error()) {
						problems[i] = fmt.Sprintf("%s does not name %s, but says:\n%s", helm, refusal.Names, err)
					}
				}
			})
			for i, problem := range problems {
				if problem != "" {
					t.Errorf("%s with %v: %s", table.Refusals[i].Base, table.Refusals[i].Values, problem)
				}
			}
		})
	}
}

func renderValues(helm string, chart chart, values map[string]any, folder string) error {
	scenario, err := scenarioOf(chart, values, folder)
	if err != nil {
		return err
	}
	_, err = template(helm, chart.folder, scenario.release(namings[0]))
	return err
}
