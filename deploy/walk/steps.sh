# The steps of the operator's walk; read by walk.sh, which gives `tell`, `run`, `must`, `says`, `journal`, `quiet`.
# shellcheck shell=bash disable=SC2016

client="/opt/sambud/current/bin/python /srv/client.py"

tell "## Install"
tell "A release in which one octet is another is not installed."
quiet 'install -d -m 0700 /srv/safe; cp -r /srv/release /tmp/changed; printf x >>/tmp/changed/requirements.lock'
run 'sh /tmp/changed/install.sh'
must 1
says 'ändrad'
tell "The release as it was made is, without a network: the packages lie in a folder that pip is pointed to."
run 'sh /srv/release/install.sh'
must 0
run 'cd /opt/sambud; ls -d1 current previous releases/* 2>/dev/null'
run 'systemd-analyze security sambud --no-pager | tail -n 1'

tell "## Begin"
quiet "sed -i 's/^# log_name.*/log_name = \"sambud.kommunen.example\"/; s/^# public_url/public_url/; s/^# socket/socket/' /etc/sambud/sambud.toml"
run 'grep -v "^#" /etc/sambud/sambud.toml | grep .'
run 'sambudctl init'
must 0
run 'stat -c "%A %U %n" /etc/sambud /etc/sambud/*'
tell "The directory: the difference first, then the change. First sign-ins go to a file for handing out."
quiet 'install -o sambud -m 0600 /opt/sambud/current/lib/python3*/site-packages/gateway/demo_directory.toml /var/lib/sambud/handover/directory.toml'
run 'sambudctl directory apply /var/lib/sambud/handover/directory.toml --dry-run | tail -n 4'
run 'sambudctl directory apply /var/lib/sambud/handover/directory.toml --credentials /var/lib/sambud/handover/first.txt | tail -n 3'
must 0
tell "The whole path once, confined as the service is: sealing, rules and schemas need no memory that is both writable and executable."
run 'sambudctl demo --once --data /var/lib/sambud/handover/demo | tail -n 3'
must 0
quiet 'rm -rf /var/lib/sambud/handover/demo*'

tell "## Serve"
run 'systemctl enable --now sambud'
must 0
run 'systemctl status sambud --no-pager | head -n 6'
must 0
run 'curl -s localhost:8080/healthz; echo; curl -s localhost:8080/readyz'
must 0
run 'p=$(systemctl show -p MainPID --value sambud); grep -E "^(Uid|CapEff|NoNewPrivs|Seccomp):" /proc/$p/status; grep "core file" /proc/$p/limits'
tell "The proxy, with a certificate made here: TLS 1.3, nothing older, and the gateway behind a socket."
quiet 'mkdir -p /etc/nginx/sambud; cd /etc/nginx/sambud; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=sambud.kommunen.example -addext subjectAltName=DNS:sambud.kommunen.example -keyout key.pem -out certificate.pem; cp /srv/release/proxy/sambud-borta.html .; cp /srv/release/proxy/sambud.conf /etc/nginx/conf.d/; rm -f /etc/nginx/sites-enabled/default; usermod -aG sambud www-data; echo 127.0.0.1 sambud.kommunen.example >>/etc/hosts'
run 'nginx -t && systemctl start nginx'
must 0
web='curl -s -o /dev/null -w "%{http_code}\n" --cacert /etc/nginx/sambud/certificate.pem'
run "$web https://sambud.kommunen.example/logga-in"
must 0
says '200'
run "$web --tls-max 1.2 https://sambud.kommunen.example/logga-in"
must 35
tell "A case system sends, a member of the seat opens."
run "$client send"
must 0
run "$client open"
must 0

tell "## Break: the disk fills up"
run 'fallocate -l $(($(df --output=avail -B1 /var/lib/sambud | tail -n 1))) /var/lib/sambud/someone-elses-file; df -h /var/lib/sambud | tail -n 1 | cut -c1-60'
run "$client send"
says 'full'
run 'curl -s -w "\n%{http_code}" localhost:8080/readyz'
says '503'
run 'sambudctl doctor | grep -Ev "^ok"'
tell "Nothing was accepted; who is signed in still reads lists (runbook *Disk full*)."
run "$client count"
must 0
tell "Mend: make room. Accepting goes on by itself."
run 'rm /var/lib/sambud/someone-elses-file'
run "$client send"
must 0

tell "## Break: the process dies, the process hangs"
before=$(serving)
run 'kill -KILL $(systemctl show -p MainPID --value sambud)'
settle "$before"
run 'systemctl is-active sambud; systemctl show sambud -p NRestarts'
must 0
run "$client count"
must 0
tell "A process that is only stopped (it could as well be a loop that never ends) says nothing for a minute, and is ended and started again."
before=$(serving)
run 'kill -STOP $(systemctl show -p MainPID --value sambud)'
settle "$before"
run 'systemctl show sambud -p NRestarts; journalctl -u sambud --no-pager | grep -m 2 -i watchdog'
must 0
run "$client count"
must 0
tell "After all this the log is whole."
run 'systemctl stop sambud; sambudctl audit verify; systemctl start sambud'
must 0

tell "## Break: the root key is gone, then another one lies there"
run 'systemctl stop sambud; mv /etc/sambud/root.key /srv/safe/root.key; systemctl start sambud'
must 1
run 'systemctl show sambud -p Result -p ExecMainStatus'
quiet 'systemctl stop sambud; systemctl reset-failed sambud'
quiet '/opt/sambud/current/bin/sambud root-key create /etc/sambud/root.key'
run 'systemctl start sambud'
must 1
run "journalctl -u sambud --no-pager | grep Fel: | tail -n 1"
says 'hör inte till'
run 'sambudctl doctor | grep -Ev "^ok"'
tell "Mend (runbook *Root key missing*): the copy back; never a new one."
quiet 'systemctl stop sambud; systemctl reset-failed sambud; rm -f /etc/sambud/root.key'
run 'mv /srv/safe/root.key /etc/sambud/root.key; systemctl start sambud; systemctl is-active sambud'
must 0
tell "With the gateway gone the proxy shows the page with the numbers to call."
run 'systemctl stop sambud; curl -s --cacert /etc/nginx/sambud/certificate.pem https://sambud.kommunen.example/arenden | grep -o "<h1>.*</h1>"'
must 0
run 'systemctl start sambud'
must 0

tell "## Upgrade, and back again"
run 'sh /srv/later/install.sh && systemctl restart sambud && cd /opt/sambud && ls -d releases/* && readlink current previous'
must 0
run "$client send"
must 0
run 'sh /srv/release/install.sh --back && systemctl restart sambud && readlink /opt/sambud/current'
must 0
run "$client count"
must 0

tell "## Backup, while it runs"
tell "The offline key is made on another machine, here by root apart from the service; only its public line comes to the gateway."
quiet 'install -d -o sambud -m 0700 /var/lib/sambud-epochs'
run '/opt/sambud/current/bin/sambud backup-key create /srv/safe/offline.key >/var/lib/sambud/recipients'
must 0
quiet "sed -i 's/^# backup/backup/' /etc/sambud/sambud.toml; systemctl restart sambud"
run 'systemctl start sambud-backup && journalctl -u sambud-backup --no-pager -o cat | grep -v systemd | tail -n 8'
must 0
run 'stat -c "%A %U %s %n" /var/backups/sambud/*'
must 0
tell "One more message after the backup, and the newest checkpoint, which a witness or a sheet of paper would have."
run "$client send"
must 0
run "$client count"
quiet 'sleep 3; install -o sambud -m 0600 $(find /var/lib/sambud/data/log -name checkpoint | head -n 1) /var/lib/sambud/handover/checkpoint'

tell "## The disk is lost, and restored"
run 'systemctl stop sambud; rm -rf /var/lib/sambud/data/*; systemctl start sambud'
must 1
run "journalctl -u sambud --no-pager | grep Fel: | tail -n 1"
quiet 'systemctl stop sambud; systemctl reset-failed sambud; install -o sambud -m 0400 /srv/safe/offline.key /var/lib/sambud/handover/offline.key'
run 'sambudctl restore /var/backups/sambud/*.sbm /var/backups/sambud/*.sbk --key /var/lib/sambud/handover/offline.key --checkpoint /var/lib/sambud/handover/checkpoint'
must 0
quiet 'rm -f /var/lib/sambud/handover/offline.key'
run 'sambudctl doctor'
run 'sambudctl audit verify'
must 0
run 'systemctl start sambud'
must 0
tell "Everybody signs in anew. The message after the backup is gone, and the log names the range; those before it open."
run "$client count"
must 0
run "$client open"
must 0

tell "## To PostgreSQL, which is then taken away"
quiet 'systemctl start postgresql; cd /; runuser -u postgres -- createuser sambud; runuser -u postgres -- createdb -O sambud sambud'
run "systemctl stop sambud; sambudctl migrate-store --to 'postgresql:///sambud?host=/var/run/postgresql' 2>&1 | tail -n 3"
must 0
quiet "sed -i 's/^# database/database/' /etc/sambud/sambud.toml"
run 'systemctl start sambud'
must 0
run "$client open"
must 0
run "systemctl stop postgresql; sleep 2; $client send"
must 1
run 'systemctl is-active sambud; curl -s -w "\n%{http_code}" localhost:8080/readyz'
says '503'
tell "Mend (runbook *Database locked or gone*): bring it up. The gateway finds it again by itself."
run "systemctl start postgresql; sleep 12; $client send"
must 0
run 'systemctl stop sambud; sambudctl audit verify; systemctl start sambud'
must 0
