package replay

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Sizes of the chart, in pixels: two panels below a legend.
const (
	chartWidth  = 960
	panelHeight = 240
	marginLeft  = 70
	marginRight = 20
	legendTop   = 50
	legendLine  = 20
	panelGap    = 60
	axisTicks   = 5
)

// maxPoints is how many steps a line has; of more it shows the means of as many parts of the time.
const maxPoints = 1500

// chart writes an SVG.
type chart struct {
	out  *bufio.Writer
	span float64 // seconds that the time axis has
}

// WriteSVG draws slots used and links over time, a line a scheduler.
func (r *Report) WriteSVG(w io.Writer) error {
	c := &chart{out: bufio.NewWriter(w), span: 1}
	links := 1
	for _, row := range r.Rows {
		for _, p := range row.points {
			c.span, links = max(c.span, p.at.Seconds()), max(links, p.links)
		}
	}
	legend, lines := places(r.Rows)
	top := legendTop + lines*legendLine + 20
	height := top + 2*(panelHeight+panelGap)
	c.line(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, chartWidth, height, chartWidth, height)
	c.line(`<rect width="100%%" height="100%%" fill="white"/>`)
	c.text(marginLeft, 24, "start", r.Title())
	for i, at := range legend {
		c.line(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="3"/>`, at.x, at.y, at.x+20, at.y, colour(i))
		c.text(at.x+26, at.y+4, "start", r.Rows[i].Scheduler)
	}
	c.panel(top, "slots used", float64(r.Hosts*r.Slots), r.Rows, func(p point) float64 { return float64(p.used) })
	c.panel(top+panelHeight+panelGap, "links", float64(links), r.Rows, func(p point) float64 { return float64(p.links) })
	c.line(`</svg>`)
	return c.out.Flush()
}

// place is where something is drawn.
type place struct{ x, y int }

// places are where the lines of the legend are named, and on how many lines that is.
func places(rows []Row) (out []place, lines int) {
	at := place{marginLeft, legendTop}
	for _, row := range rows {
		width := 46 + 8*len(row.Scheduler)
		if at.x+width > chartWidth && at.x > marginLeft {
			at = place{marginLeft, at.y + legendLine}
			lines++
		}
		out = append(out, at)
		at.x += width
	}
	return out, lines + 1
}

// colour is that of the i-th line: those that can be told apart by whoever sees fewer colours.
func colour(i int) string {
	colours := strings.Fields("#000000 #e69f00 #56b4e9 #009e73 #d55e00 #cc79a7 #0072b2 #999999")
	return colours[i%len(colours)]
}

// panel draws one measure, from 0 to top.
func (c *chart) panel(y int, name string, top float64, rows []Row, of func(point) float64) {
	const width = chartWidth - marginLeft - marginRight
	c.line(`<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#888"/>`, marginLeft, y, width, panelHeight)
	c.text(marginLeft, y-8, "start", name)
	for i := range axisTicks + 1 {
		share := float64(i) / axisTicks
		at := y + panelHeight - int(share*panelHeight)
		c.line(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#ddd"/>`, marginLeft, at, marginLeft+width, at)
		c.text(marginLeft-6, at+4, "end", fmt.Sprintf("%.0f", share*top))
		c.text(marginLeft+int(share*width), y+panelHeight+16, "middle", fmt.Sprintf("%.0f s", share*c.span))
	}
	for i, row := range rows {
		c.line(`<path fill="none" stroke="%s" stroke-width="1.2" d="%s"/>`, colour(i), c.steps(row.points, func(at time.Duration, value float64) (px, py float64) {
			return marginLeft + at.Seconds()/c.span*width, float64(y+panelHeight) - min(1, value/top)*panelHeight
		}, of))
	}
}

// steps are the commands of a path that goes from point to point in steps.
func (c *chart) steps(points []point, place func(time.Duration, float64) (x, y float64), of func(point) float64) string {
	if len(points) == 0 {
		return "M0 0"
	}
	var b strings.Builder
	x, y := place(points[0].at, 0)
	fmt.Fprintf(&b, "M%.1f %.1f", x, y)
	if len(points) <= maxPoints {
		for _, p := range points {
			x, y := place(p.at, of(p))
			fmt.Fprintf(&b, "H%.1fV%.1f", x, y)
		}
		return b.String()
	}
	last := points[len(points)-1].at
	for i, value := range means(points, of) {
		from, to := last*time.Duration(i)/maxPoints, last*time.Duration(i+1)/maxPoints
		x, y := place(from, value)
		fmt.Fprintf(&b, "H%.1fV%.1f", x, y)
		x, _ = place(to, value)
		fmt.Fprintf(&b, "H%.1f", x)
	}
	return b.String()
}

// means are those over equal parts of the time.
func means(points []point, of func(point) float64) []float64 {
	out := make([]float64, maxPoints)
	part := points[len(points)-1].at.Seconds() / maxPoints
	for i := range points[:len(points)-1] {
		from, to := points[i].at.Seconds()/part, points[i+1].at.Seconds()/part
		for at := from; at < to; {
			end := min(to, math.Floor(at)+1)
			out[min(maxPoints-1, int(at))] += (end - at) * of(points[i])
			at = end
		}
	}
	return out
}

func (c *chart) line(format string, args ...any) {
	fmt.Fprintf(c.out, format+"\n", args...)
}

// text writes words at a place.
func (c *chart) text(x, y int, anchor, words string) {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(words)) // a builder takes all
	c.line(`<text x="%d" y="%d" text-anchor="%s">%s</text>`, x, y, anchor, b.String())
}
