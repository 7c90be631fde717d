package charts

import (
	"runtime"
	"sync"

	"charts/manifests"
)

// release has the arguments of helm besides the chart.
type release struct {
	name, namespace string
	arguments       []string
}

// template renders a chart with a helm ("helm" or "helm3").
func template(helm, folder string, release release) (string, error) {
	arguments := []string{"template", release.name, folder,
		"--namespace", release.namespace, "--kube-version", manifests.OldestKubernetes}
	return manifests.Run(manifests.ToolPath(helm), append(arguments, release.arguments...)...)
}

// inParallel calls work for 0 to count-1, with one call per processor at a time: each rendering is a process.
func inParallel(count int, work func(int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range runtime.NumCPU() {
		group.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	group.Wait()
}
