// Goroutines, channels, select, garbage collection under pressure, timers, files and a subprocess, in
// one static program.
package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

type node struct {
	left, right *node
	payload     [64]byte
}

func grow(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: grow(depth - 1), right: grow(depth - 1)}
}

func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func channels() {
	jobs, results := make(chan int), make(chan int, 8)
	var workers sync.WaitGroup
	for w := 0; w < 4; w++ {
		workers.Add(1)
		go func(w int) {
			defer workers.Done()
			for job := range jobs {
				results <- job*10 + w
			}
		}(w)
	}
	go func() {
		for i := 0; i < 200; i++ {
			jobs <- i
		}
		close(jobs)
		workers.Wait()
		close(results)
	}()
	digest := uint64(5381)
	for result := range results {
		digest = digest*33 + uint64(result)
	}
	fmt.Printf("order digest %x\n", digest)
}

func collect() {
	var group sync.WaitGroup
	for g := 0; g < 4; g++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 6; i++ {
				if grow(11).count() != 1<<12-1 {
					panic("a tree lost nodes")
				}
			}
		}()
	}
	group.Wait()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Printf("%d collections, %d bytes allocated, %d ns paused\n", stats.NumGC, stats.TotalAlloc, stats.PauseTotalNs)
}

func timers() {
	start := time.Now()
	ticker := time.NewTicker(2 * time.Millisecond)
	timeout := time.After(15 * time.Millisecond)
	ticks := 0
loop:
	for {
		select {
		case <-ticker.C:
			ticks++
		case <-timeout:
			break loop
		}
	}
	ticker.Stop()
	time.Sleep(3 * time.Millisecond)
	fmt.Printf("%d ticks, %v\n", ticks, time.Since(start))
}

func network() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		connection, err := listener.Accept()
		check(err)
		fmt.Fprintf(connection, "hello from %v", listener.Addr())
		connection.Close()
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	text := make([]byte, 100)
	length, err := connection.Read(text)
	check(err)
	fmt.Printf("%s\n", text[:length])
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	channels()
	collect()
	timers()
	network()
	secret := make([]byte, 8)
	_, err := rand.Read(secret)
	check(err)
	fmt.Printf("random %x, pid %d\n", secret, os.Getpid())
	counts := map[int]int{1: 1, 2: 2, 3: 3, 4: 4}
	for key := range counts {
		fmt.Print(key, " ")
	}
	fmt.Println("in the map's order")
	output, err := exec.Command("/bin/sh", "-c", "echo subprocess $$").Output()
	check(err)
	fmt.Printf("%s", output)
	check(os.WriteFile("go.txt", output, 0o644))
	fmt.Println("done")
}
