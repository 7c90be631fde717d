package charts

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"charts/manifests"
)

// leaves are the paths of all values that are not maps with keys.
func leaves(values map[string]any, path ...string) [][]string {
	var all [][]string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		path := append(slices.Clone(path), key)
		below, isMap := values[key].(map[string]any)
		if isMap && len(below) > 0 && !slices.Contains(typesOfKubernetes, key) {
			all = append(all, leaves(below, path...)...)
		} else {
			all = append(all, path)
		}
	}
	return all
}

// at is the value at a path, or nil.
func at(values map[string]any, path ...string) any {
	var value any = values
	for _, key := range path {
		below, _ := value.(map[string]any)
		value = below[key]
	}
	return value
}

// For each value, a scenario changes it, and would render differently without the change. So every value has an effect, and
// every part of a template is rendered.
func TestEveryValueHasAnEffect(t *testing.T) {
	for _, chart := range charts {
		defaults, err := readValues(filepath.Join(chart.folder, "values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var changed []rendering
		for _, r := range plainRenderings(t) {
			if r.scenario.chart.name == chart.name {
				changed = append(changed, r)
			}
		}
		// The namings change the values for names.
		paths := slices.DeleteFunc(leaves(defaults), func(path []string) bool { return strings.HasSuffix(path[0], "ameOverride") })
		problems := make([]string, len(paths))
		folder := t.TempDir()
		inParallel(len(paths), func(i int) { problems[i] = effectless(defaults, paths[i], changed, folder) })
		for i, problem := range problems {
			if problem != "" {
				t.Errorf("%s: %s: %s", chart.name, strings.Join(paths[i], "."), problem)
			}
		}
	}
}

// effectless returns a problem if no rendering differs when it has the default at a path.
func effectless(defaults map[string]any, path []string, renderings []rendering, folder string) string {
	byDefault := at(defaults, path...)
	problem := "no preset and no file in ci/ changes it"
	for _, r := range renderings {
		if sameJSON(at(r.values, path...), byDefault) {
			continue
		}
		scenario, err := scenarioOf(r.scenario.chart, withValue(r.values, byDefault, path...), folder)
		if err != nil {
			return err.Error()
		}
		without := rendering{scenario: scenario, naming: r.naming}
		// If it cannot be rendered without the value, the value has an effect.
		if err := without.render(); err != nil || goldenOf(without) != goldenOf(r) {
			return ""
		}
		problem = fmt.Sprintf("%s renders to the same without it", r.scenario)
	}
	return problem
}

// withValue is a copy of values with another value at a path.
func withValue(values map[string]any, value any, path ...string) map[string]any {
	if len(path) > 1 {
		below, _ := values[path[0]].(map[string]any)
		value = withValue(below, value, path[1:]...)
	}
	copied := maps.Clone(values)
	copied[path[0]] = value
	return copied
}

type valuesSchema struct {
	Ref                  string                   `json:"$ref"`
	AllOf                []*valuesSchema          `json:"allOf"`
	Properties           map[string]*valuesSchema `json:"properties"`
	AdditionalProperties any                      `json:"additionalProperties"`
	Items                *valuesSchema            `json:"items"`
	Definitions          map[string]*valuesSchema `json:"definitions"`
	Defs                 map[string]*valuesSchema `json:"$defs"`
}

func readSchema(t *testing.T, chart chart) *valuesSchema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart.folder, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	root := &valuesSchema{}
	if err := json.Unmarshal(text, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// UnmarshalJSON also accepts `true` and `false`, which have no keys.
func (s *valuesSchema) UnmarshalJSON(text []byte) error {
	if string(text) == "true" || string(text) == "false" {
		return nil
	}
	type plain valuesSchema
	return json.Unmarshal(text, (*plain)(s))
}

func (s *valuesSchema) resolved(root *valuesSchema) *valuesSchema {
	if name, is := strings.CutPrefix(s.Ref, "#/definitions/"); is {
		return root.Definitions[name].resolved(root)
	}
	if name, is := strings.CutPrefix(s.Ref, "#/$defs/"); is {
		return root.Defs[name].resolved(root)
	}
	// A definition with one more constraint.
	if len(s.AllOf) == 1 && s.Properties == nil {
		return s.AllOf[0].resolved(root)
	}
	return s
}

// A key that is in only one of the two is a typo, or is missing for readers of the values.
func TestSchemaHasTheKeysOfTheValues(t *testing.T) {
	for _, chart := range charts {
		defaults, err := readValues(filepath.Join(chart.folder, "values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		root := readSchema(t, chart)
		// helm gives it to charts that are part of others.
		delete(root.Properties, "global")
		for _, problem := range schemaDifferences(root, root, defaults, "") {
			t.Errorf("%s: %s", chart.name, problem)
		}
	}
}

// Values in the form of Kubernetes. values.yaml need not have every key of them.
var typesOfKubernetes = []string{"podSecurityContext", "securityContext", "resources", "behavior"}

func schemaDifferences(root, s *valuesSchema, values map[string]any, path string) (problems []string) {
	s = s.resolved(root)
	if s.Properties == nil {
		if s.AdditionalProperties == nil || s.AdditionalProperties == true {
			problems = append(problems, fmt.Sprintf("schema: any keys may be in %q", path))
		}
		return problems
	}
	for key := range s.Properties {
		if _, has := values[key]; !has {
			problems = append(problems, fmt.Sprintf("values.yaml: no %s.%s, which the schema has", path, key))
		}
	}
	for key, value := range values {
		property, has := s.Properties[key]
		if !has {
			problems = append(problems, fmt.Sprintf("schema: no %s.%s, which values.yaml has", path, key))
			continue
		}
		// An empty map does not show which keys it may have.
		if below, isMap := value.(map[string]any); isMap && len(below) > 0 && !slices.Contains(typesOfKubernetes, key) {
			problems = append(problems, schemaDifferences(root, property, below, path+"."+key)...)
		}
	}
	return problems
}

// A schema that lists keys refuses all others.
func TestSchemaRefusesUnknownKeysEverywhere(t *testing.T) {
	for _, chart := range charts {
		for _, path := range openSchemas(readSchema(t, chart), "") {
			t.Errorf("%s: the schema lets any other key into %q", chart.name, path)
		}
	}
}

func openSchemas(s *valuesSchema, path string) (open []string) {
	if s == nil {
		return nil
	}
	if s.Properties != nil && s.AdditionalProperties != false {
		open = append(open, path)
	}
	for key, below := range s.Properties {
		open = append(open, openSchemas(below, path+"."+key)...)
	}
	for _, definitions := range []map[string]*valuesSchema{s.Definitions, s.Defs} {
		for name, below := range definitions {
			open = append(open, openSchemas(below, "definition "+name)...)
		}
	}
	return append(open, openSchemas(s.Items, path+"[]")...)
}

// The table of values comes from values.yaml. UPDATE_GOLDENS=1 writes it.
func TestReadmesAreWhatHelmDocsMakes(t *testing.T) {
	undocumented := regexp.MustCompile(`(?m)^\| (\S+) \| \S+ \| .* \|  \|$`)
	for _, chart := range charts {
		expected, err := manifests.Run(manifests.ToolPath("helm-docs"), "--dry-run", "--log-level", "error", "--sort-values-order", "file",
			"--chart-search-root", chart.folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range undocumented.FindAllStringSubmatch(expected, -1) {
			t.Errorf("%s: values.yaml says nothing about %s", chart.name, row[1])
		}
		compareWithFile(t, filepath.Join(chart.folder, "README.md"), expected)
	}
}
