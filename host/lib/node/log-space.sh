# shellcheck shell=bash
# The space for logs: small systems keep /var/log in memory.

# free_log_space FOLDER...: "MIB FOLDER DEVICE" of the one with the least free space. A folder that is missing will be made in the one above.
free_log_space() {
    local folder at line least=
    for folder in "$@"; do
        at=$folder
        until [ -d "${at:-/}" ]; do at=${at%/*}; done
        line=$(timeout 10 df -Pm "${at:-/}" 2>/dev/null | awk -v folder="$folder" 'NR == 2 {print $4, folder, $1}')
        [[ $line =~ ^[0-9] ]] || {
            printf '?df %s does not answer' "$folder"
            return
        }
        if [ -z "$least" ] || [ "${line%% *}" -lt "${least%% *}" ]; then least=$line; fi
    done
    printf '%s' "$least"
}

# log_space_cure: what keeps this host's logs in memory, and how to end that.
log_space_cure() {
    if [ -e /etc/default/armbian-ramlog ]; then
        printf 'Set ENABLED=false in /etc/default/armbian-ramlog, and reboot'
    elif [ -e /etc/log2ram.conf ]; then
        printf 'Run systemctl disable log2ram, and reboot'
    elif [ -e /etc/ztab ]; then
        printf 'Remove the line of /var/log from /etc/ztab, and reboot'
    elif [ -d /boot/dietpi ]; then
        printf 'Choose another log system than DietPi-RAMlog in dietpi-software, and reboot'
    elif [ -e /etc/folder2ram/folder2ram.conf ]; then
        printf 'Remove /var/log from /etc/folder2ram/folder2ram.conf, and reboot'
    else
        printf 'Free some space, or enlarge the file system'
    fi
}
