package charts

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"charts/manifests"
	"sigs.k8s.io/yaml"
)

// A chart of the repository.
type chart struct {
	name, folder string
	// The namespace that the README uses.
	namespace string
}

var (
	helloAPI   = chart{"hello-api", filepath.Join(manifests.Root, "charts/hello-api"), "app-space"}
	postgresDB = chart{"postgres-db", filepath.Join(manifests.Root, "charts/postgres-db"), "db-space"}
	charts     = []chart{helloAPI, postgresDB}
)

// A scenario is a values file: the defaults, a preset (values.*.yaml) or a toggle (ci/*-values.yaml).
type scenario struct {
	chart chart
	// The file, from the folder of the chart.
	file string
}

func (s scenario) String() string { return s.chart.name + "/" + s.file }

func (s scenario) isToggle() bool { return filepath.Dir(s.file) == "ci" }

func (s scenario) release(naming naming) release {
	arguments := append([]string{"--values", filepath.Join(s.chart.folder, s.file)}, naming.arguments...)
	return release{naming.release(s.chart), s.chart.namespace, arguments}
}

// values are those of the scenario, over the defaults of the chart.
func (s scenario) values() (map[string]any, error) {
	defaults, err := readValues(filepath.Join(s.chart.folder, "values.yaml"))
	if err != nil {
		return nil, err
	}
	own, err := readValues(filepath.Join(s.chart.folder, s.file))
	return merged(defaults, own), err
}

func scenarios(chart chart) []scenario {
	var all []scenario
	for _, pattern := range []string{"values.yaml", "values.*.yaml", "ci/*-values.yaml"} {
		files, err := filepath.Glob(filepath.Join(chart.folder, pattern))
		if err != nil {
			panic(err)
		}
		for _, file := range files {
			file, err := filepath.Rel(chart.folder, file)
			if err != nil {
				panic(err)
			}
			all = append(all, scenario{chart, file})
		}
	}
	return all
}

func allScenarios() []scenario {
	var all []scenario
	for _, chart := range charts {
		all = append(all, scenarios(chart)...)
	}
	return all
}

// A naming sets the names of a release and its objects.
type naming struct {
	name      string
	release   func(chart) string
	arguments []string
}

func releaseNamedLikeChart(chart chart) string { return chart.name }

// The first is that of the README and of the goldens.
var namings = []naming{
	{"plain", releaseNamedLikeChart, nil},
	// The longest name that helm accepts.
	{"long", func(chart) string { return strings.Repeat("r", 53) }, nil},
	{"long with the chart's name", func(c chart) string { return c.name + strings.Repeat("-r", 27)[:53-len(c.name)] }, nil},
	{"nameOverride", releaseNamedLikeChart, []string{"--set", "nameOverride=renamed"}},
	{"fullnameOverride", releaseNamedLikeChart, []string{"--set", "fullnameOverride=renamed"}},
}

// A rendering is the output of a chart, for a scenario and a naming.
type rendering struct {
	scenario scenario
	naming   naming
	values   map[string]any
	text     string
	objects  []object
	// The random values of Secrets, which differ each time.
	generated map[string]bool
}

func (r rendering) String() string { return fmt.Sprintf("%s (%s)", r.scenario, r.naming.name) }

// renderings are of every scenario under every naming; made once.
var renderings = sync.OnceValues(func() ([]rendering, error) {
	var all []rendering
	for _, scenario := range allScenarios() {
		for _, naming := range namings {
			all = append(all, rendering{scenario: scenario, naming: naming})
		}
	}
	errs := make([]error, len(all))
	inParallel(len(all), func(i int) {
		errs[i] = all[i].render()
	})
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", all[i], err)
		}
	}
	return all, nil
})

func allRenderings(t *testing.T) []rendering {
	t.Helper()
	all, err := renderings()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// plainRenderings are those under the first naming.
func plainRenderings(t *testing.T) []rendering {
	t.Helper()
	var plain []rendering
	for _, r := range allRenderings(t) {
		if r.naming.name == namings[0].name {
			plain = append(plain, r)
		}
	}
	return plain
}

func (r *rendering) render() (err error) {
	if r.values, err = r.scenario.values(); err != nil {
		return err
	}
	release := r.scenario.release(r.naming)
	if r.text, err = template("helm", r.scenario.chart.folder, release); err != nil {
		return err
	}
	if r.objects, err = parseObjects(r.text); err != nil {
		return err
	}
	if !strings.Contains(r.text, "kind: Secret\n") {
		return nil
	}
	again, err := template("helm", r.scenario.chart.folder, release)
	if err != nil {
		return err
	}
	objects, err := parseObjects(again)
	r.generated = secretValuesOf(r.objects)
	for value := range secretValuesOf(objects) {
		delete(r.generated, value)
	}
	return err
}

// scenarioOf is a scenario with values that are in no file of the chart. They are written to a folder.
func scenarioOf(chart chart, values map[string]any, folder string) (scenario, error) {
	text, err := yaml.Marshal(values)
	if err != nil {
		return scenario{}, err
	}
	file, err := os.CreateTemp(folder, "*.yaml")
	if err != nil {
		return scenario{}, err
	}
	if _, err := file.Write(text); err != nil {
		return scenario{}, err
	}
	name, err := filepath.Rel(chart.folder, file.Name())
	return scenario{chart, name}, errors.Join(err, file.Close())
}

func readValues(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// merged is as helm merges values: maps key by key, everything else replaced.
func merged(under, over map[string]any) map[string]any {
	result := maps.Clone(under)
	for key, value := range over {
		below, isMap := result[key].(map[string]any)
		above, staysMap := value.(map[string]any)
		if isMap && staysMap {
			value = merged(below, above)
		}
		result[key] = value
	}
	return result
}
