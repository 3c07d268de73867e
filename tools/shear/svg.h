// Drawings for reports: a small writer of SVG, round ticks, and axes.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shear::tool {

struct Point {
  double x, y;
};

std::string svg_escape(std::string_view);  // for text and attributes; control characters become '?'

// Steps of 1, 2 or 5 times a power of ten that lie in [low, high]: about `count` of them.
std::vector<double> round_ticks(double low, double high, int count);
// 1, 2 and 5 times powers of ten in [low, high]; both are above zero.
std::vector<double> log_ticks(double low, double high);
std::string tick_label(double value);  // "0.05", "1200"

enum class Anchor { start, middle, end };
struct TextStyle {
  double size = 12;
  Anchor anchor = Anchor::start;
  std::string_view color = "#222222";
  bool bold = false, upright = false;  // upright: from the bottom to the top
};

// Elements in the order of their calls, on a white ground.
class Svg {
 public:
  Svg(double width, double height, std::string_view title);
  void line(Point from, Point to, std::string_view color, double width = 1);
  void lines(const std::vector<Point>&, std::string_view color, double width = 1.5);
  void area(const std::vector<Point>&, std::string_view color, double opacity);
  void circle(Point, double radius, std::string_view color);
  void box(Point corner, double width, double height, std::string_view stroke, std::string_view fill = "none");
  void write(Point, std::string_view text, const TextStyle& = {});
  std::string done() const;  // the file

 private:
  std::string out_;
};

// A rectangle of the drawing (y grows downwards) that shows a range of values.
struct Axes {
  Point corner;  // top left
  double width, height;
  double x_low, x_high, y_low, y_high;
  bool log_y = false;

  Point at(double x, double y) const;
  struct Ticks {
    std::vector<double> x, y;
    bool label_x = true, label_y = true;
    double size = 12;  // of the labels
  };
  void draw(Svg&, const Ticks&) const;  // grid, frame and labels
};

// An estimate that errs on the wide side, for fonts without serifs.
double text_width(std::string_view, double size);

struct Labelled {
  Point at;
  std::string text;
};
// Where to write each label (its left end, on the base line) so that none covers another, a point or the frame.
std::vector<Point> place_labels(const std::vector<Labelled>&, const Axes&, double size);

}  // namespace shear::tool
