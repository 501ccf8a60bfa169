package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// bill lists, in SPDX 2.3, the programs of something that was made and the Go modules in
// them. It reads that out of the programs, so it is about them and not about go.mod.
func (r *release) bill(name string, content []byte, of []target) ([]byte, error) {
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: name,
		DocumentNamespace: "https://github.com/imagefit/imagefit/spdx/" + name + "-" + sum(content),
		CreationInfo: &v2_3.CreationInfo{
			Created:  r.epoch.Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "imagefit-packaging"}, {CreatorType: "Organization", Creator: "imagefit"}},
		},
	}
	b := billWriter{doc: doc, known: map[common.ElementID]bool{}}
	whole := b.add("artifact", name, r.version, "Apache-2.0", content)
	b.relate("DOCUMENT", common.TypeRelationshipDescribe, whole)
	for _, t := range of {
		for _, program := range t.programs {
			if err := b.addProgram(whole, t, program, r.program(t, program), r.version); err != nil {
				return nil, err
			}
		}
	}
	var out bytes.Buffer
	err := json.Write(doc, &out, json.Indent("  "))
	return append(out.Bytes(), '\n'), err
}

// billWriter adds to a document what it does not have yet.
type billWriter struct {
	doc   *v2_3.Document
	known map[common.ElementID]bool
}

func (b *billWriter) addProgram(whole common.ElementID, t target, name, path, version string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("read the modules of %s: %w", path, err)
	}
	program := b.add("program-"+t.platform(), name, version, "Apache-2.0", content)
	b.relate(whole, common.TypeRelationshipContains, program)
	modules := map[string]string{"stdlib": strings.TrimPrefix(info.GoVersion, "go")}
	order := []string{"stdlib"}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		modules[dep.Path] = dep.Version
		order = append(order, dep.Path)
	}
	for _, path := range order {
		module := b.add("module", path, modules[path], "NOASSERTION", nil)
		b.relate(program, common.TypeRelationshipDependsOn, module)
	}
	return nil
}

// notOfID are the characters that an identifier of SPDX cannot have.
var notOfID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// add adds a package and returns its identifier. content is what its checksum is of; Go modules
// have none here, but the address that scanners look them up by.
func (b *billWriter) add(kind, name, version, license string, content []byte) common.ElementID {
	id := common.ElementID(notOfID.ReplaceAllString("Package-"+kind+"-"+name+"-"+version, "-"))
	if b.known[id] {
		return id
	}
	b.known[id] = true
	p := &v2_3.Package{
		PackageSPDXIdentifier: id, PackageName: name, PackageVersion: version,
		PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: license, PackageLicenseDeclared: license,
		PackageCopyrightText: "NOASSERTION",
		PackageSupplier:      &common.Supplier{SupplierType: "NOASSERTION", Supplier: "NOASSERTION"},
	}
	if content != nil {
		p.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: "imagefit"}
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: sum(content)}}
	} else {
		p.PackageExternalReferences = []*v2_3.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL,
			Locator: "pkg:golang/" + name + "@" + version,
		}}
	}
	b.doc.Packages = append(b.doc.Packages, p)
	return id
}

func (b *billWriter) relate(from common.ElementID, how string, to common.ElementID) {
	b.doc.Relationships = append(b.doc.Relationships, &v2_3.Relationship{
		RefA: common.DocElementID{ElementRefID: from}, RefB: common.DocElementID{ElementRefID: to}, Relationship: how,
	})
}
