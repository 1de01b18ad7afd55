# Sourced by run. Builds the tools from their published modules into target/kit-tools, each one again when its inputs have
# changed.

# The releases that Kubernetes supports. A newer one may need a newer kubernetes-validate; crds.go names one as well.
RELEASES=(1.35 1.36 1.37)

need() { # a set of tools, then the files that it is made from: makes it, unless it is there
  local stamp
  stamp=$(cat "$lint/tools.bash" "${@:2}" <(go env GOVERSION GOOS GOARCH) | git hash-object --stdin)
  [ "$(cat "$tools/$1.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  rm -f "$tools/$1.stamp"
  "make_$1"
  echo "$stamp" >"$tools/$1.stamp"
}
need_kit() { need kit "$lint"/{go.mod,go.sum,*.go}; }
need_skaffold() { need skaffold "$lint"/skaffold/go.{mod,sum}; }
need_promtool() { need promtool "$lint"/alerts/go.{mod,sum}; }
need_schemas() { need_kit; need schemas "$lint"/{requirements.txt,go.mod,crds.go,skaffold/go.mod}; }

compile() { # folder of a module, arguments of "go build"
  local start=$SECONDS packages=0 line
  # Flags as in control-plane/build, so that common packages are compiled once.
  (cd "$lint/$1" && CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" go build -v -o "$tools/bin/" "${@:2}" 2>&1) |
    tee "$work/log" | while read -r line; do
      # A line with a space is a download or an error.
      [[ $line = *" "* ]] || packages=$((packages + 1))
      if [ $((packages % 250)) = 0 ]; then say "  $packages packages, $((SECONDS - start)) s"; fi
    done || { grep ' ' "$work/log" | tail -20 >&2; die "could not build the module in deploy/lint/$1 (see above)"; }
  say "built in $((SECONDS - start)) s"
}

make_kit() {
  say "building actionlint, kubeconform and kit-lint (cold: a minute on two cores)"
  compile . -ldflags "-s -w" github.com/rhysd/actionlint/cmd/actionlint github.com/yannh/kubeconform/cmd/kubeconform .
}

make_skaffold() {
  local module=github.com/GoogleContainerTools/skaffold/v2 version
  version=$(cd "$lint/skaffold" && go list -m -f '{{.Version}}' "$module")
  say "building skaffold $version (cold: three to four minutes on two cores)"
  compile skaffold -ldflags "-s -w -X $module/pkg/skaffold/version.version=$version" "$module/cmd/skaffold"
}

make_promtool() {
  say "building promtool (cold: three minutes on two cores)"
  # Without service discovery, which no rule needs.
  compile alerts -tags remove_all_sd -ldflags "-s -w" github.com/prometheus/prometheus/cmd/promtool
}

make_schemas() {
  local release schema
  python3 -c 'import ensurepip, venv' 2>/dev/null || die "needs python3 with venv (on Debian: apt-get install python3-venv)"
  say "fetching the schemas of Kubernetes ${RELEASES[*]} (cold: ten seconds)"
  rm -rf "$tools/schemas"
  mkdir -p "$tools/schemas/skaffold"
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --requirement "$lint/requirements.txt" || die "could not install what deploy/lint/requirements.txt names (see above)"
  for release in "${RELEASES[@]}"; do
    cp -r "$work"/venv/lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema/"v$release.0-local-strict" "$tools/schemas/"
  done
  # They refer to one another by web addresses, but the files are all in this folder.
  find "$tools/schemas" -name '*.json' -exec sed -i.old -e 's|"\$id": "https:|"$comment": "https:|' -e 's|"/api/_def|"_def|' {} +
  find "$tools/schemas" -name '*.old' -delete
  "$tools/bin/kit-lint" crds "$tools/schemas"
  # A skaffold that is built from its module does not contain its schemas, but the module does.
  for schema in "$(cd "$lint/skaffold" && go mod download -json github.com/GoogleContainerTools/skaffold/v2 |
    sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"/docs-v2/content/en/schemas/v4*.json; do
    cp "$schema" "$tools/schemas/skaffold/config_$(basename "$schema")"
  done
}
