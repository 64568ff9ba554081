package store

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childDir is set for the process that TestKill kills.
const childDir = "AURA_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

// child accepts and decides for ever and prints the id of each decision once it was answered.
func child(dir string) {
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		out, err := s.Accept(context.Background(), []Application{{Features: []byte("{}"), Source: "http"}})
		if err == nil {
			_, err = s.Decide(context.Background(), []Decision{verdict(out[0].Application, Generations{Mode: ModeModel, ModeGeneration: 1}, float64(i))})
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(out[0].Application.ID)
	}
}
