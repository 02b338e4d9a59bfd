package firstboot

// What the machines' scripts ask others, as functions of the shell.

// ready ADDRESS PORT says whether somebody says by HTTP that he is ready. No program is started to ask.
const ready = "ready() ( exec 3<>/dev/tcp/\"$1\"/\"$2\" && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -rt 5 _ code _ <&3 && [ \"$code\" = 200 ] )\n"

// answers SECONDS HOST:PORT PATH -verify_hostname|-verify_ip NAME says whether a server of the cluster with a certificate
// for that name says yes by HTTPS, in time. $header are further lines of the request: printf is the shell's own, so
// that a token in them is in no process's arguments.
const answers = `answers() {
	printf 'GET %s HTTP/1.1\r\nHost: api\r\n%sConnection: close\r\n\r\n' "$3" "$header" 2>/dev/null |
		timeout "$1" openssl s_client -quiet -connect "$2" -CAfile ` + KubernetesCA + ` -verify_return_error "$4" "$5" 2>/dev/null |
		grep -q '^HTTP/1.1 200'
}
`
