// Drawings for reports.
#include "svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace shear::tool {

std::string svg_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out;
}

std::string tick_label(double value) {
  char written[32];
  std::snprintf(written, sizeof written, "%.6g", value);
  return written;
}

std::vector<double> round_ticks(double low, double high, int count) {
  if (!(high > low) || count < 1) return {low};
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1., 2., 5.})
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
  for (double i = first; i <= last; ++i) ticks.push_back(i * step + 0.);  // never -0
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  std::vector<double> ticks;
  for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10)
    for (const double factor : {1., 2., 5.})
      if (factor * power >= low * 0.999 && factor * power <= high * 1.001) ticks.push_back(factor * power);
  return ticks;
}

static std::string number(double value) {
  char written[32];
  std::snprintf(written, sizeof written, "%.2f", std::isfinite(value) ? value : 0);
  return written;
}

static std::string attribute(std::string_view name, std::string_view value) {
  return ' ' + std::string(name) + "=\"" + svg_escape(value) + '"';
}

static std::string attribute(std::string_view name, double value) { return attribute(name, number(value)); }

static std::string points(const std::vector<Point>& list) {
  std::string all;
  for (const Point& p : list) all += (all.empty() ? "" : " ") + number(p.x) + ',' + number(p.y);
  return attribute("points", all);
}

Svg::Svg(double width, double height, std::string_view title) {
  out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\"" + attribute("width", width) + attribute("height", height) +
         attribute("viewBox", "0 0 " + number(width) + ' ' + number(height)) +
         " font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\">\n<title>" +
         svg_escape(title) + "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
}

void Svg::line(Point from, Point to, std::string_view color, double width) {
  out_ += "<line" + attribute("x1", from.x) + attribute("y1", from.y) + attribute("x2", to.x) + attribute("y2", to.y) +
          attribute("stroke", color) + attribute("stroke-width", width) + "/>\n";
}

void Svg::lines(const std::vector<Point>& list, std::string_view color, double width) {
  out_ += "<polyline fill=\"none\" stroke-linejoin=\"round\"" + points(list) + attribute("stroke", color) +
          attribute("stroke-width", width) + "/>\n";
}

void Svg::area(const std::vector<Point>& list, std::string_view color, double opacity) {
  out_ += "<polygon" + points(list) + attribute("fill", color) + attribute("fill-opacity", opacity) + "/>\n";
}

void Svg::circle(Point center, double radius, std::string_view color) {
  out_ += "<circle" + attribute("cx", center.x) + attribute("cy", center.y) + attribute("r", radius) +
          attribute("fill", color) + "/>\n";
}

void Svg::box(Point corner, double width, double height, std::string_view stroke, std::string_view fill) {
  out_ += "<rect" + attribute("x", corner.x) + attribute("y", corner.y) + attribute("width", width) +
          attribute("height", height) + attribute("stroke", stroke) + attribute("fill", fill) + "/>\n";
}

void Svg::write(Point at, std::string_view text, const TextStyle& style) {
  static constexpr const char* anchors[] = {"start", "middle", "end"};
  out_ += "<text" + attribute("x", at.x) + attribute("y", at.y) + attribute("font-size", style.size) +
          attribute("fill", style.color) + attribute("text-anchor", anchors[static_cast<size_t>(style.anchor)]);
  if (style.bold) out_ += attribute("font-weight", "bold");
  if (style.upright) out_ += attribute("transform", "rotate(-90 " + number(at.x) + ' ' + number(at.y) + ')');
  out_ += '>' + svg_escape(text) + "</text>\n";
}

std::string Svg::done() const { return out_ + "</svg>\n"; }

Point Axes::at(double x, double y) const {
  const auto scale = [&](double v) { return log_y ? std::log(std::max(v, y_low)) : v; };
  return {corner.x + (x - x_low) / (x_high - x_low) * width,
          corner.y + height - (scale(y) - scale(y_low)) / (scale(y_high) - scale(y_low)) * height};
}

void Axes::draw(Svg& svg, const Ticks& ticks) const {
  constexpr const char *grid = "#e4e4e4", *frame = "#888888", *ink = "#333333";
  const double bottom = corner.y + height;
  for (const double x : ticks.x) {
    const double place = at(x, y_low).x;
    svg.line({place, corner.y}, {place, bottom}, grid);
    if (ticks.label_x)
      svg.write({place, bottom + ticks.size + 4}, tick_label(x),
                {.size = ticks.size, .anchor = Anchor::middle, .color = ink});
  }
  for (const double y : ticks.y) {
    const double place = at(x_low, y).y;
    svg.line({corner.x, place}, {corner.x + width, place}, grid);
    if (ticks.label_y)
      svg.write({corner.x - 6, place + 0.35 * ticks.size}, tick_label(y),
                {.size = ticks.size, .anchor = Anchor::end, .color = ink});
  }
  svg.box(corner, width, height, frame);
}

double text_width(std::string_view text, double size) {
  const auto letters = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return 0.6 * size * static_cast<double>(letters);
}

namespace {

struct Rect {
  double left, top, right, bottom;
};

double overlap(const Rect& a, const Rect& b) {
  const double wide = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double high = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return wide > 0 && high > 0 ? wide * high : 0;
}

}  // namespace

// Each label takes the first free place on ever wider rings around its point.
std::vector<Point> place_labels(const std::vector<Labelled>& labels, const Axes& axes, double size) {
  std::vector<Rect> taken;
  for (const Labelled& l : labels) taken.push_back({l.at.x - 6, l.at.y - 6, l.at.x + 6, l.at.y + 6});
  std::vector<Point> places;
  const Rect inside{axes.corner.x + 3, axes.corner.y + 3, axes.corner.x + axes.width - 3,
                    axes.corner.y + axes.height - 3};
  for (const Labelled& l : labels) {
    const double width = text_width(l.text, size), height = 1.2 * size;
    Rect best{};
    double least = std::numeric_limits<double>::infinity();
    for (double ring = 9; ring < 400 && least > 0; ring += 6)
      for (const Point& way : {Point{1, 0}, Point{-1, 0}, Point{0, -1}, Point{0, 1}, Point{1, -1}, Point{1, 1},
                               Point{-1, -1}, Point{-1, 1}}) {
        const double x = l.at.x + way.x * ring + (way.x - 1) / 2 * width;
        const double y = l.at.y + way.y * ring + (way.y - 1) / 2 * height;
        const Rect r{x, y, x + width, y + height};
        double cost = 0;
        for (const Rect& other : taken) cost += overlap(r, other);
        cost += width * height - overlap(r, inside);
        if (cost < least - 1e-6) least = cost < 1e-6 ? 0 : cost, best = r;
        if (least == 0) break;
      }
    taken.push_back(best);
    places.push_back({best.left, best.bottom - 0.3 * size});
  }
  return places;
}

}  // namespace shear::tool
