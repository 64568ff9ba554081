//go:build linux

package kafkatest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Jars returns a directory with the jars that a pom asks for; Maven fills it the first time. A changed pom is another directory.
func Jars(t testing.TB, pom []byte) string {
	t.Helper()
	const asked = "AURA_TEST_KAFKA"
	if os.Getenv(asked) != "1" {
		t.Skip("a real broker is started only with " + asked + "=1 (it needs Java and Maven)")
	}
	missing := func(reason string) {
		t.Helper()
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	if _, err := exec.LookPath("java"); err != nil {
		missing("Kafka needs Java 17 or newer (Debian: apt-get install default-jre-headless)")
	}
	dir, err := cache(pom)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		missing("Kafka's jars are fetched by Maven (Debian: apt-get install maven)")
	}
	if err := fetch(dir, pom); err != nil {
		missing(fmt.Sprintf("Maven can't fetch what belongs to Kafka: %v", err))
	}
	return dir
}

func cache(pom []byte) (string, error) {
	parent := os.Getenv("AURA_TEST_KAFKA_DIR")
	if parent == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("name a directory for Kafka's jars in AURA_TEST_KAFKA_DIR: %w", err)
		}
		parent = filepath.Join(user, "aura")
	}
	digest := fnv.New64a()
	_, _ = digest.Write(pom)
	return filepath.Join(parent, fmt.Sprintf("kafka-%016x", digest.Sum64())), nil
}

// fetch fills a directory beside the target and renames it, so that a target is whole and two of these don't meet.
func fetch(target string, pom []byte) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(target), "kafka-fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), pom, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs")
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	err = os.Rename(filepath.Join(tmp, "libs"), target)
	if errors.Is(err, os.ErrExist) {
		return nil // somebody else was quicker
	}
	return err
}
