#!/bin/sh
# Install the peers of `sambud bench peers`, by name and version, into a folder of their own: never into the product's.
#   bench/peers.sh FOLDER
# Postfix comes from Debian (package postfix; its own service may stay stopped) and needs root when it is measured.
set -eu

[ $# -eq 1 ] || {
	echo "Ange en katalog: bench/peers.sh KATALOG" >&2
	exit 2
}
folder=$1
python=${SAMBUD_PYTHON:-python3}
mkdir -p "$folder"

# peer NAME PACKAGE...: a virtual environment that holds these packages and what they need.
peer() {
	name=$1
	shift
	[ -x "$folder/$name/bin/python" ] || "$python" -m venv --without-pip "$folder/$name"
	"$python" -m pip --python "$folder/$name/bin/python" install --quiet --no-input --disable-pip-version-check \
		--only-binary :all: "$@"
}

peer mesh mesh-sandbox==1.0.137 uvicorn==0.54.0
peer synapse matrix-synapse==1.163.2
command -v postfix >/dev/null 2>&1 || [ -x /usr/sbin/postfix ] ||
	echo "Postfix saknas: installera Debians paket postfix." >&2
echo "Klart. Mät med: ./sambud bench peers --peers $folder"
