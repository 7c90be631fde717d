// The command cluster starts the control plane of tests/cluster, prints the path of its kubeconfig, and stops it on SIGINT or SIGTERM. Its arguments are the folder
// with the programs and the one in which it leaves its logs; `make cluster` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"birthday/tests/cluster/controlplane"
)

func main() {
	withoutOperator := flag.Bool("without-spin-operator", false, "leave out the spin-operator, of which there can be one on a machine")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: cluster [-without-spin-operator] PROGRAMS LOGS")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(64)
	}
	if err := serve(flag.Arg(0), flag.Arg(1), !*withoutOperator); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func serve(bin, logs string, withSpinOperator bool) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	cluster, err := controlplane.Start(bin, withSpinOperator, func(line string) { fmt.Println(line) })
	if err != nil {
		return err
	}
	fmt.Printf("\nUntil this is interrupted:\n\n  export KUBECONFIG=%s PATH=%s:$PATH\n\n", cluster.Kubeconfig, bin)

	var ended error
	for ended == nil {
		select {
		case <-stop:
			return cluster.Stop(logs)
		case <-time.After(time.Second):
			ended = cluster.Ended()
		}
	}
	if err := cluster.Stop(logs); err != nil {
		return err
	}
	return ended
}
