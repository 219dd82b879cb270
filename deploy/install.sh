#!/bin/sh
# Install or upgrade Sambud from the folder this script lies in: /opt/sambud, systemd units, the user sambud.
#
#   sh install.sh          install this release beside the one that runs, and make it the current one
#   sh install.sh --back   make the release before the current one again
#
# Nothing is started, stopped or deleted: data, settings and keys are left alone; doing it twice is doing it once.
# Packages come from the index that the operator's pip is set to (PIP_INDEX_URL, PIP_FIND_LINKS or pip.conf), and only
# with the hashes of requirements.lock; so an index that has been tampered with ends the installation.
set -eu
umask 022

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
base=/opt/sambud
units=/usr/local/lib/systemd/system
python=${SAMBUD_PYTHON:-/usr/bin/python3}

say() { printf '%s\n' "$*"; }
stop() {
	printf 'Fel: %s\n' "$*" >&2
	exit 1
}

# activate RELEASE: units, user and folders of that release, and then the one switch that counts.
activate() {
	release=$1
	share=$release/share
	[ -f "$release/.complete" ] || stop "$release är inte helt installerad. Kör install.sh igen."
	mkdir -p "$units/sambud-.service.d" "$units/sambud.service.d" /usr/local/lib/sysusers.d /usr/local/lib/tmpfiles.d
	install -m 0644 "$share/systemd/sambud.service" "$share/systemd/sambud-backup.service" \
		"$share/systemd/sambud-backup.timer" "$units/"
	# A folder for a prefix (sambud-) counts for every unit that begins so, and for none called sambud itself; systemd
	# follows no link here.
	for folder in sambud-.service.d sambud.service.d; do
		install -m 0644 "$share/systemd/sambud-.service.d/confinement.conf" "$units/$folder/"
	done
	install -m 0644 "$share/systemd/sambud.sysusers.conf" /usr/local/lib/sysusers.d/sambud.conf
	install -m 0644 "$share/systemd/sambud.tmpfiles.conf" /usr/local/lib/tmpfiles.d/sambud.conf
	systemd-sysusers sambud.conf
	systemd-tmpfiles --create sambud.conf
	[ -e /etc/sambud/sambud.toml ] || install -m 0600 "$share/sambud.toml" /etc/sambud/sambud.toml
	before=$(readlink "$base/current" 2>/dev/null || true)
	if [ -n "$before" ] && [ "$before" != "$release" ]; then
		ln -sfn "$before" "$base/previous.new"
		mv -T "$base/previous.new" "$base/previous"
	fi
	ln -sfn "$release" "$base/current.new"
	mv -T "$base/current.new" "$base/current"
	ln -sfn "$base/current/share/sambudctl" /usr/local/sbin/sambudctl
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
}

[ "$(id -u)" = 0 ] || stop "Kör som root, till exempel med sudo."
command -v systemd-sysusers >/dev/null 2>&1 || stop "systemd saknas. Sambud installeras på Debian 12 eller 13 med systemd."

if [ "${1:-}" = --back ]; then
	before=$(readlink "$base/previous" 2>/dev/null) || stop "Det finns ingen tidigare version i $base."
	activate "$before"
	say "Nu gäller $(basename "$before"). Starta om: systemctl restart sambud"
	exit 0
fi
[ $# = 0 ] || stop "Okänt val: $1. Välj inget, eller --back."

# Debian 12 and 13 have Python 3.11 and 3.13; pip builds nothing here, so no compiler is needed.
[ -x "$python" ] || stop "Python saknas. Installera paketet python3."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || stop "Python är för gammal: 3.11 eller nyare behövs."
"$python" -m pip --version >/dev/null 2>&1 || stop "pip saknas. Installera paketet python3-pip."
(cd "$here" && sha256sum --quiet --strict -c SHA256SUMS) || stop "En fil i utgåvan är ändrad eller saknas. Hämta utgåvan igen. Inget har installerats."

set -- "$here"/sambud-*.whl
[ -f "$1" ] && [ $# = 1 ] || stop "Utgåvan ska ha en enda fil sambud-*.whl."
wheel=$1
version=$(basename "$wheel" | cut -d- -f2)
digest=$(sha256sum "$wheel" | cut -c1-64)
# The same version built anew, or with other packages, is another release.
release=$base/releases/$version-$(cat "$wheel" "$here/requirements.lock" | sha256sum | cut -c1-12)

if [ ! -f "$release/.complete" ]; then
	rm -rf "$release" # half of an earlier try; never the current one, which is complete
	mkdir -p "$base/releases"
	"$python" -m venv --without-pip "$release" || stop "Det gick inte att skapa $release. Installera paketet python3-venv."
	put() {
		env -u PIP_USER -u PIP_TARGET -u PIP_PREFIX -u PIP_REQUIRE_VIRTUALENV -u PYTHONPATH \
			"$python" -m pip --python "$release/bin/python" install --quiet --no-input --disable-pip-version-check \
			--no-cache-dir --require-hashes --only-binary :all: "$@" ||
			stop "Paketen gick inte att installera. Den version som gällde gäller fortfarande. Kontrollera nätet och paketkällan och kör igen."
	}
	put -r "$here/requirements.lock"
	own=$(mktemp)
	printf '%s --hash=sha256:%s\n' "$wheel" "$digest" >"$own"
	put --no-deps --no-index -r "$own"
	rm -f "$own"
	mkdir -p "$release/share/doc"
	cp -R "$here/systemd" "$here/sambudctl" "$here/sambud.toml" "$here/requirements.lock" "$release/share/"
	cp "$here"/doc/* "$release/share/doc/"
	"$release/bin/python" -m compileall -q "$release/lib" >/dev/null || true # odd files of tests in packages
	"$release/bin/sambud" --help >/dev/null || stop "Programmet startar inte. Den version som gällde gäller fortfarande."
	: >"$release/.complete"
fi
activate "$release"

say "Sambud $version är installerat i $release."
if [ ! -e /etc/sambud/root.key ]; then
	say "Ny gateway: ändra /etc/sambud/sambud.toml, kör sedan: sambudctl init"
else
	say "Starta om: systemctl restart sambud. Tillbaka till den förra: sh install.sh --back"
fi
