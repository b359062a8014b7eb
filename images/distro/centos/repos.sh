# Where CentOS Stream 9 and ELRepo are taken from.  Sourced by root and kernel.
#
# Mirrors and keys, by environment or images/build's options of the same names:
#   SC_CENTOS_MIRROR  --centos-mirror   the folder that holds 9-stream/
#   SC_ELREPO_MIRROR  --elrepo-mirror   the folder that holds el9/ (ELRepo's "kernel")
#   SC_CENTOS_KEY     --centos-key      GPG keys that packages are signed with: file
#   SC_ELREPO_KEY     --elrepo-key      or URL
# Nothing of this machine's own dnf or rpm settings is used or changed.

centos_mirror=${SC_CENTOS_MIRROR:-https://mirror.stream.centos.org}
elrepo_mirror=${SC_ELREPO_MIRROR:-https://elrepo.org/linux/kernel}
centos_key=${SC_CENTOS_KEY:-https://www.centos.org/keys/RPM-GPG-KEY-CentOS-Official}
elrepo_key=${SC_ELREPO_KEY:-https://www.elrepo.org/RPM-GPG-KEY-elrepo.org}
baseos_url=$centos_mirror/9-stream/BaseOS/x86_64/os
appstream_url=$centos_mirror/9-stream/AppStream/x86_64/os
elrepo_url=$elrepo_mirror/el9/x86_64

# centos_fetch URL FILE OPTION VARIABLE: one file, or the reason and what to set.
centos_fetch() {
    curl -fsSL --connect-timeout 20 --max-time 300 --retry 2 -o "$2" "$1" 2>"$2.log" ||
        die "cannot read '$1': $(tail -1 "$2.log"); name a mirror or key that this machine reaches by $3 or $4"
    rm -f "$2.log"
}

# centos_repos DIR: DIR/dnf.conf, a home folder for rpm, the keys as files and the
# repositories' indexes (DIR/*.xml), whose contents say what there is to install.
centos_repos() {
    need dnf=dnf rpm=rpm rpmkeys=rpm rpm2cpio=rpm2cpio cpio=cpio curl=curl patchelf=patchelf
    local d=$1 file
    mkdir -p "$d"/{home,cache,log,persist}
    centos_fetch "$baseos_url/repodata/repomd.xml" "$d/baseos.xml" --centos-mirror SC_CENTOS_MIRROR
    centos_fetch "$appstream_url/repodata/repomd.xml" "$d/appstream.xml" --centos-mirror SC_CENTOS_MIRROR
    centos_fetch "$elrepo_url/repodata/repomd.xml" "$d/elrepo.xml" --elrepo-mirror SC_ELREPO_MIRROR
    case $centos_key in *://*) file=$centos_key ;; *) file=file://$(readlink -f "$centos_key") ;; esac
    centos_fetch "$file" "$d/centos.key" --centos-key SC_CENTOS_KEY
    case $elrepo_key in *://*) file=$elrepo_key ;; *) file=file://$(readlink -f "$elrepo_key") ;; esac
    centos_fetch "$file" "$d/elrepo.key" --elrepo-key SC_ELREPO_KEY
    # Debian's rpm keeps its data base in the home folder; CentOS 9's is here.
    printf '%%_dbpath /var/lib/rpm\n%%_db_backend sqlite\n' >"$d/home/.rpmmacros"
    cat >"$d/dnf.conf" <<CONF
[main]
gpgcheck=1
repo_gpgcheck=0
plugins=0
keepcache=1
install_weak_deps=0
tsflags=nodocs
best=1
reposdir=$d/none
varsdir=$d/none
cachedir=$d/cache
logdir=$d/log
persistdir=$d/persist
[baseos]
name=baseos
baseurl=$baseos_url
gpgkey=file://$d/centos.key
[appstream]
name=appstream
baseurl=$appstream_url
gpgkey=file://$d/centos.key
[elrepo-kernel]
name=elrepo-kernel
baseurl=$elrepo_url
gpgkey=file://$d/elrepo.key
CONF
}

# centos_key_of DIR: a text that changes whenever a repository does.
centos_key_of() { cat "$1"/*.xml | sha256sum; }

# centos_epoch DIR: the date of the newest index.
centos_epoch() {
    local e
    e=$(sed -n 's/.*<timestamp>\([0-9]*\).*/\1/p; s/.*<revision>\([0-9]*\)<.*/\1/p' "$1"/*.xml | sort -n | tail -1)
    [ "$e" ] || die "the repositories' indexes have no time"
    echo "$e"
}

# centos_dnf DIR ARGUMENT...: dnf with those settings.  Without root's rights it
# runs in a user namespace, where it is root.
centos_dnf() {
    local d=$1 as=()
    shift
    if [ "$(id -u)" != 0 ]; then as=(unshare --user --map-root-user --map-auto --); fi
    HOME=$d/home "${as[@]}" dnf -c "$d/dnf.conf" --releasever=9 --forcearch=x86_64 -q -y "$@"
}
