//go:build linux

package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// User is who may talk to a secured broker, and Password what they must show.
const (
	User     = "aura"
	Password = "p@ss word/%?#"
)

// security is a listener that demands TLS and SASL/SCRAM. A nil one demands nothing.
type security struct{ mechanism string }

// Secured makes the broker demand TLS, with a certificate of its own authority (CA), and SASL with the given mechanism:
// SCRAM-SHA-256 or SCRAM-SHA-512.
func Secured(mechanism string) Option {
	return func(b *Broker) { b.security = &security{mechanism} }
}

// CA is the file of the authority that a secured broker's certificate is from.
func (b *Broker) CA() string { return b.path("ca.pem") }

// users are the arguments of the storage tool that make the user.
func (s *security) users() []string {
	if s == nil {
		return nil
	}
	return []string{"--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", s.mechanism, User, Password)}
}

// server is the part of the broker's properties; it makes the certificates.
func (s *security) server(dir string) string {
	if s == nil {
		return ""
	}
	if err := certificates(dir); err != nil {
		panic(err) // no test can go on without
	}
	return fmt.Sprintf(`sasl.enabled.mechanisms=%[1]s
listener.name.client.%[2]s.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=%[3]s
ssl.client.auth=none
`, s.mechanism, lower(s.mechanism), filepath.Join(dir, "broker.pem"))
}

// client is what Kafka's own tools need.
func (s *security) client(dir string) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf(`security.protocol=SASL_SSL
sasl.mechanism=%s
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="%s" password="%s";
ssl.truststore.type=PEM
ssl.truststore.location=%s
`, s.mechanism, User, Password, filepath.Join(dir, "ca.pem"))
}

// knock shakes hands, without a look at the certificate: it only tells that somebody is there.
func (s *security) knock(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(time.Second))
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
}

func lower(mechanism string) string {
	if mechanism == "SCRAM-SHA-512" {
		return "scram-sha-512"
	}
	return "scram-sha-256"
}

// certificates makes an authority (ca.pem) and the broker's key with its certificate (broker.pem).
func certificates(dir string) error {
	authority, authorityKey, err := certificate("AURA's tests", nil, nil)
	if err != nil {
		return err
	}
	leaf, key, err := certificate("127.0.0.1", authority, authorityKey)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})
	own := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	own = append(own, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})...)
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "broker.pem"), append(own, ca...), 0o600)
}

// certificate makes one for loopback, signed by the parent, or by itself.
func certificate(name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if parent == nil {
		parent, signer = c, key
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(raw)
	return made, key, err
}
