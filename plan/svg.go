package plan

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"craton.dev/craton/contract"
)

// The drawing's measures, in pixels. Text is not measured: letter is what one letter of
// the small size takes at most in common fonts.
const (
	margin      = 24
	columnWidth = 160
	boxWidth    = 140
	boxHeight   = 58
	rowHeight   = 32
	headHeight  = 34
	letter      = 6.4
	mostLetters = 76
)

// lanes is the order of the drawing's boxes, from outside over the roles to outside.
var lanes = []contract.Peer{
	contract.All, contract.UserNetwork, contract.LoadBalancers,
	contract.Masters, contract.InfraNodes, contract.Workers,
	contract.Registries, contract.ExternalEtcd, contract.Resolvers, contract.TimeServers,
}

// laneOf is the box of a role's machines.
var laneOf = map[contract.Role]contract.Peer{
	contract.Master: contract.Masters, contract.Infra: contract.InfraNodes, contract.Worker: contract.Workers,
}

// drawing is a picture in the making: boxes in a row, a line down from each, and below
// them an arrow a rule, so that no number of rules makes arrows cross labels.
type drawing struct {
	plan *Plan
	b    strings.Builder
	x    map[contract.Peer]float64
	// right is where the column of purposes starts; bare is without it.
	right float64
	bare  bool
}

// WriteSVG draws the plan: a box for each role and each peer, and a labelled arrow for each
// rule, from who connects to whom. The file needs nothing outside itself; what a rule is
// for is text beside its arrow and, in full, its tooltip.
func WriteSVG(w io.Writer, p *Plan) error { return draw(w, p, false) }

// WritePicture is WriteSVG for a page that has styles of its own for the drawing's classes:
// it has neither colours nor a title, and what a rule is for is only its tooltip.
func WritePicture(w io.Writer, p *Plan) error { return draw(w, p, true) }

func draw(w io.Writer, p *Plan, bare bool) error {
	d := &drawing{plan: p, x: map[contract.Peer]float64{}}
	used := d.used()
	for i, lane := range used {
		d.x[lane] = margin + columnWidth*(float64(i)+0.5)
	}
	d.right = margin + columnWidth*float64(len(used)) + 8

	y, longest := float64(margin+56+boxHeight+16), 40
	var body drawing
	body.plan, body.x, body.right, body.bare = p, d.x, d.right, bare
	var last string
	for _, r := range p.Rules {
		if head := heading(r); head != last {
			body.head(head, y)
			y, last = y+headHeight, head
		}
		longest = max(longest, body.rule(r, y+rowHeight-10))
		y += rowHeight
	}
	width, height := d.right+float64(longest)*letter+margin, y+56
	if bare {
		width = d.right
	}

	d.open(width, height, bare)
	for _, lane := range used {
		fmt.Fprintf(&d.b, `<line class="lane" x1="%[1]g" y1="%[2]d" x2="%[1]g" y2="%[3]g"/>`+"\n", d.x[lane], margin+56+boxHeight, y+8)
	}
	for _, lane := range used {
		d.box(lane)
	}
	d.b.WriteString(body.b.String())
	d.legend(y + 34)
	d.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, d.b.String())
	return err
}

// used are the boxes to draw: roles with machines and peers with addresses.
func (d *drawing) used() []contract.Peer {
	var out []contract.Peer
	for _, lane := range lanes {
		isRole := slices.ContainsFunc(d.plan.Machines, func(m Machine) bool { return laneOf[m.Role] == lane })
		if isRole || len(d.plan.Peers[lane]) > 0 {
			out = append(out, lane)
		}
	}
	return out
}

func (d *drawing) open(width, height float64, bare bool) {
	title := fmt.Sprintf("Network rules of cluster %s", d.plan.Cluster)
	desc := fmt.Sprintf("Profile %s, %d machines, %d rules. A box for each role and peer; below, an arrow for each rule from who connects to whom, labelled with protocol and ports.",
		d.plan.Profile, len(d.plan.Machines), len(d.plan.Rules))
	top := 0.0
	if bare {
		top = margin + 40 // the title's room
	}
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]g" height="%[2]g" viewBox="0 %[5]g %[1]g %[2]g" role="img" aria-labelledby="title desc">
<title id="title">%[3]s</title>
<desc id="desc">%[4]s</desc>
`, width, height-top, escape(title), escape(desc), top)
	if bare {
		return
	}
	fmt.Fprintf(&d.b, `<style>
text { font: 12px system-ui, "Helvetica Neue", Arial, sans-serif; fill: #1b1f24 }
.title { font-size: 18px; font-weight: 600 }
.name, .head { font-weight: 600 }
.name { font-size: 13px; text-anchor: middle }
.small { font-size: 11px; fill: #57606a; text-anchor: middle }
.lane { stroke: #d0d7de }
.box { fill: #f6f8fa; stroke: #8c959f }
.role { fill: #ddf4ff; stroke: #0969da; stroke-width: 1.5 }
.band { fill: #f6f8fa }
.label { text-anchor: middle; paint-order: stroke; stroke: #fff; stroke-width: 4px }
.arrow { fill: none; stroke-width: 1.5 }
.MUST .arrow { stroke: #1b1f24 } .MUST .tip { fill: #1b1f24 }
.SHOULD .arrow { stroke: #0969da } .SHOULD .tip { fill: #0969da }
.MAY .arrow { stroke: #9a6700; stroke-dasharray: 5 3 } .MAY .tip { fill: #9a6700 }
</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<text class="title" x="%[1]d" y="%[2]d">%[3]s</text>
<text x="%[1]d" y="%[4]d">Profile %[5]s. All that has no arrow is dropped.</text>
`, margin, margin+14, escape(title), margin+36, escape(d.plan.Profile))
}

// box draws the box at the head of a lane.
func (d *drawing) box(lane contract.Peer) {
	class, machines := "box", 0
	for _, m := range d.plan.Machines {
		if laneOf[m.Role] == lane {
			machines++
		}
	}
	prefixes := d.plan.Peers[lane]
	second, third := "", ""
	if machines > 0 {
		class = "role"
		for role, peer := range laneOf {
			if peer == lane && d.plan.Machines[0].Address.IsValid() {
				prefixes = addresses(d.plan.Machines, role)
			}
		}
		second = fmt.Sprintf("%d machines", machines)
		if machines == 1 {
			second = "1 machine"
		}
	}
	if len(prefixes) > 0 {
		third = prefixes[0].String()
	}
	if len(prefixes) > 1 {
		third += fmt.Sprintf(", +%d", len(prefixes)-1)
	}
	if second == "" {
		second, third = third, ""
	}
	x, y := d.x[lane], float64(margin+56)
	fmt.Fprintf(&d.b, `<rect class="%s" x="%g" y="%g" width="%d" height="%d" rx="6"/>`+"\n", class, x-boxWidth/2, y, boxWidth, boxHeight)
	for i, line := range []struct{ class, text string }{{"name", string(lane)}, {"small", second}, {"small", third}} {
		if line.text != "" {
			fmt.Fprintf(&d.b, `<text class="%s" x="%g" y="%g">%s</text>`+"\n", line.class, x, y+18+float64(i)*16, escape(line.text))
		}
	}
}

func heading(r Rule) string {
	if r.Direction == contract.Egress {
		return "Out of " + string(r.Role) + " machines"
	}
	return "Into " + string(r.Role) + " machines"
}

func (d *drawing) head(text string, y float64) {
	fmt.Fprintf(&d.b, `<rect class="band" x="%d" y="%g" width="100%%" height="20"/><text class="head" x="%d" y="%g">%s</text>`+"\n",
		0, y+8, margin, y+22, escape(text))
}

// rule draws a rule's row with its line at y, and returns how many letters its text has.
func (d *drawing) rule(r Rule, y float64) int {
	fmt.Fprintf(&d.b, `<g class="%s"><title>%s (%s)</title>`, r.Level, escape(why(r)), escape(strings.Join(r.Clauses, ", ")))
	role, loops := d.x[laneOf[r.Role]], false
	var labelAt, lift float64
	for _, peer := range r.Peers {
		x, drawn := d.x[peer]
		if !drawn {
			continue // a peer without addresses
		}
		if x == role {
			loops = true
			continue
		}
		from, to := x, role
		if r.Direction == contract.Egress {
			from, to = role, x
		}
		towards := 1.0
		if to < from {
			towards = -1
		}
		fmt.Fprintf(&d.b, `<circle class="tip" cx="%g" cy="%g" r="3"/><path class="arrow" d="M%g %gH%g"/>`, from, y, from, y, to-6*towards)
		d.tip(to, y, towards)
		// The label stands on the first stretch beside the role, where its own arrow is sure to be.
		side := columnWidth / 2.0
		if x < role {
			side = -side
		}
		labelAt, lift = role+side, 5
	}
	if loops {
		// Beside the other arrows, not across them.
		side := 1.0
		if labelAt > role {
			side = -1
		}
		fmt.Fprintf(&d.b, `<path class="arrow" d="M%g %gC%g %g %g %g %g %g"/>`, role, y-7, role+30*side, y-7, role+30*side, y+5, role+7*side, y+5)
		d.tip(role, y+5, -side)
		if labelAt == 0 {
			labelAt, lift = role+80, -4
		}
	}
	ports := join(r.Ports, contract.PortRange.String, ", ")
	fmt.Fprintf(&d.b, `<text class="label" x="%g" y="%g">%s %s</text>`, labelAt, y-lift, escape(string(r.Protocol)), escape(ports))
	if d.bare {
		d.b.WriteString("</g>\n")
		return 0
	}
	text := clip(string(r.Level)+" · "+purposes(r), mostLetters)
	fmt.Fprintf(&d.b, `<text x="%g" y="%g">%s</text></g>`+"\n", d.right, y+4, escape(text))
	return utf8.RuneCountInString(text)
}

// tip draws an arrow's head that ends at x and points right (1) or left (-1).
func (d *drawing) tip(x, y, towards float64) {
	back := x - 8*towards
	fmt.Fprintf(&d.b, `<path class="tip" d="M%g %gL%g %gL%g %gZ"/>`, x, y, back, y-4, back, y+4)
}

func (d *drawing) legend(y float64) {
	x := float64(margin)
	for _, level := range contract.Levels() {
		fmt.Fprintf(&d.b, `<g class="%s"><path class="arrow" d="M%g %gH%g"/>`, level, x, y-4, x+32)
		d.tip(x+38, y-4, 1)
		fmt.Fprintf(&d.b, `<text x="%g" y="%g">%s</text></g>`+"\n", x+46, y, level)
		x += 130
	}
}

// clip shortens a text to so many letters.
func clip(text string, most int) string {
	letters := []rune(text)
	if len(letters) <= most {
		return text
	}
	return string(letters[:most-1]) + "…"
}

func escape(text string) string { return html.EscapeString(text) }
