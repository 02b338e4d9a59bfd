package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	certificateBlock = "CERTIFICATE"
	publicBlock      = "PUBLIC KEY"
	keyBlock         = "PRIVATE KEY"
)

// joinPair is a pair as one file: the certificate or public key, then the key.
func joinPair(p Pair) []byte { return append(bytes.Clone(p.Cert), p.Key...) }

// splitPair takes a file apart again. What is missing is empty; parsePair says so.
func splitPair(data []byte) Pair {
	var p Pair
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return p
		}
		if block.Type == certificateBlock || block.Type == publicBlock {
			p.Cert = append(p.Cert, pem.EncodeToMemory(block)...)
		} else {
			p.Key = append(p.Key, pem.EncodeToMemory(block)...)
		}
	}
}

func encodePair(der []byte, key *ecdsa.PrivateKey) (Pair, error) {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: keyDER}),
	}, nil
}

func newKeyPair() (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return Pair{}, err
	}
	pair, err := encodePair(nil, key)
	pair.Cert = pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: public})
	return pair, err
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out, nil
		}
		if block.Type != certificateBlock {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, cert)
	}
}

func parseKey(data []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New("no private key in it")
		}
		var key any
		var err error
		switch block.Type {
		case keyBlock:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("its private key: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("its private key is a %T, which cannot sign", key)
		}
		return signer, nil
	}
}

// parsePair is the first certificate and its key; the two have to belong together.
func parsePair(p Pair) (*x509.Certificate, crypto.Signer, error) {
	certs, err := parseCertificates(p.Cert)
	if err != nil {
		return nil, nil, err
	}
	if len(certs) == 0 {
		return nil, nil, errors.New("no certificate in it")
	}
	key, err := parseKey(p.Key)
	if err != nil {
		return nil, nil, err
	}
	if !equalPublic(certs[0].PublicKey, key) {
		return nil, nil, errors.New("its certificate and its key do not belong together")
	}
	return certs[0], key, nil
}

func matchPublic(p Pair) error {
	key, err := parseKey(p.Key)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(p.Cert)
	if block == nil || block.Type != publicBlock {
		return errors.New("no public key in it")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("its public key: %w", err)
	}
	if !equalPublic(public, key) {
		return errors.New("its public and its private key do not belong together")
	}
	return nil
}

func equalPublic(public any, key crypto.Signer) bool {
	k, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(public)
}
