#include "tests/support/page_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

namespace troupe::tests {

namespace {

using Problems = std::vector<std::string>;

// Of the digits and the mean letter of DejaVu Sans, which is wide, at this size.
constexpr double digit_width = 7.6;
constexpr double letter_width = 6.7;
constexpr double letter_size = 12;

struct Element {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::string text;  ///< up to the next element
};

/// Of a tag without its brackets.
Element element_of(std::string_view tag) {
  Element element;
  std::size_t place = std::min(tag.find_first_of(" /"), tag.size());
  element.name = tag.substr(0, place);
  for (std::size_t quote = tag.find("=\"", place); quote != std::string_view::npos; quote = tag.find("=\"", place)) {
    const std::size_t begin = tag.find_first_not_of(' ', place);
    const std::size_t close = std::min(tag.find('"', quote + 2), tag.size());
    element.attributes[std::string(tag.substr(begin, quote - begin))] = tag.substr(quote + 2, close - quote - 2);
    place = std::min(close + 1, tag.size());
  }
  return element;
}

/// All elements in their order, as far as the document is well-formed.
std::vector<Element> elements_of(std::string_view document, Problems& problems) {
  std::vector<Element> elements;
  std::vector<std::string> open;
  std::size_t next = 0;
  for (std::size_t at = document.find('<'); at != std::string_view::npos; at = next) {
    next = document.find('<', at + 1);
    const std::size_t end = document.find('>', at);
    if (end > next) {
      problems.push_back("a tag has no end: " + std::string(document.substr(at, 40)));
      return elements;
    }
    const std::string_view tag = document.substr(at + 1, end - at - 1);
    if (tag.starts_with('!')) continue;
    if (!tag.starts_with('/')) {
      Element element = element_of(tag);
      element.text = document.substr(end + 1, std::min(next, document.size()) - end - 1);
      if (element.name != "meta" && !tag.ends_with('/')) open.push_back(element.name);
      elements.push_back(std::move(element));
      continue;
    }
    if (open.empty() || open.back() != tag.substr(1)) {
      problems.push_back("<" + std::string(tag) + "> ends " + (open.empty() ? "nothing" : open.back()));
      return elements;
    }
    open.pop_back();
  }
  if (!open.empty()) problems.push_back("<" + open.back() + "> is never ended");
  return elements;
}

class SvgCheck {
 public:
  explicit SvgCheck(std::string_view svg) : elements_(elements_of(svg, problems_)) {}

  Problems problems() {
    if (elements_.empty() || elements_.front().name != "svg") return {"no svg"};
    width_ = number(elements_.front(), "width");
    height_ = number(elements_.front(), "height");
    for (const Element& element : elements_) {
      for (const char* key : {"x", "x1", "x2", "cx"}) within(element, key, width_);
      for (const char* key : {"y", "y1", "y2", "cy"}) within(element, key, height_);
      if (element.name == "polyline") points_within(element);
      if (element.name != "rect") continue;
      between(number(element, "width"), 0, width_ - number(element, "x"), "a rect's width");
      between(number(element, "height"), 0, height_ - number(element, "y"), "a rect's height");
    }
    texts_apart();
    return std::move(problems_);
  }

 private:
  struct Span {
    double low = 0;
    double high = 0;
    std::string text;
  };

  double number(std::string_view text) {
    const std::string copy(text);
    char* end = nullptr;
    const double value = std::strtod(copy.c_str(), &end);
    if (copy.empty() || *end != '\0' || !std::isfinite(value)) problems_.push_back("no number: \"" + copy + "\"");
    return value;
  }
  double number(const Element& element, const std::string& key) {
    const auto found = element.attributes.find(key);
    return number(found == element.attributes.end() ? std::string_view() : found->second);
  }
  void between(double value, double low, double high, const std::string& what) {
    if (value >= low && value <= high) return;
    problems_.push_back(what + " is " + std::to_string(value) + ", not in " + std::to_string(low) + " to " +
                        std::to_string(high));
  }
  void within(const Element& element, const std::string& key, double high) {
    if (element.attributes.contains(key)) between(number(element, key), 0, high, element.name + "'s " + key);
  }
  void points_within(const Element& element) {
    const std::string points = element.attributes.contains("points") ? element.attributes.at("points") : std::string();
    if (points.empty()) problems_.emplace_back("a line without points");
    for (std::size_t place = 0; place < points.size();) {
      const std::size_t space = std::min(points.find(' ', place), points.size());
      const std::size_t comma = std::min(points.find(',', place), space);
      between(number(std::string_view(points).substr(place, comma - place)), 0, width_, "a point's x");
      between(number(std::string_view(points).substr(std::min(comma + 1, space), space - std::min(comma + 1, space))), 0,
              height_, "a point's y");
      place = space + 1;
    }
  }
  /// About as wide as the text is drawn.
  Span span_of(const Element& element) {
    const double size = element.attributes.contains("font-size") ? number(element, "font-size") : letter_size;
    double wide = 0;
    for (const char letter : element.text) wide += letter >= '0' && letter <= '9' ? digit_width : letter_width;
    wide *= size / letter_size;
    const std::string& anchor = element.attributes.at("text-anchor");
    const double low = number(element, "x") - (anchor == "start" ? 0 : anchor == "middle" ? wide / 2 : wide);
    return {low, low + wide, element.text};
  }
  void texts_apart() {
    std::map<std::string, std::vector<Span>> lines;
    for (const Element& element : elements_) {
      if (element.name != "text" || !element.attributes.contains("x")) continue;
      lines[element.attributes.at("y")].push_back(span_of(element));
    }
    for (auto& [y, spans] : lines) {
      std::ranges::sort(spans, {}, &Span::low);
      between(spans.front().low, 0, width_, "the left end of \"" + spans.front().text + "\"");
      for (std::size_t i = 0; i < spans.size(); ++i) {
        between(spans[i].high, 0, width_, "the right end of \"" + spans[i].text + "\"");
        if (i > 0 && spans[i - 1].high > spans[i].low)
          problems_.push_back("\"" + spans[i - 1].text + "\" and \"" + spans[i].text + "\" overlap");
      }
    }
  }

  Problems problems_;
  std::vector<Element> elements_;
  double width_ = 0;
  double height_ = 0;
};

}  // namespace

std::vector<std::string> problems_of_svg(std::string_view svg) { return SvgCheck(svg).problems(); }

std::vector<std::string> problems_of_page(std::string_view page) {
  Problems problems;
  if (!page.starts_with("<!doctype html>") || !page.ends_with("</html>\n")) problems.emplace_back("no whole document");
  elements_of(page, problems);
  for (const char* lacks :
       {"<script", "<link", "<img", "src=", "href=", "url(", "@import", "https:", ">nan", ">-nan", ">inf", ">-inf"})
    if (page.find(lacks) != std::string_view::npos) problems.push_back(std::string("has ") + lacks);
  constexpr std::string_view last = "</svg>";
  for (std::size_t at = page.find("<svg"); at != std::string_view::npos; at = page.find("<svg", at + 1)) {
    const std::size_t end = page.find(last, at);
    if (end == std::string_view::npos) continue;  // said already: it is not ended
    for (const std::string& problem : problems_of_svg(page.substr(at, end + last.size() - at))) problems.push_back(problem);
  }
  return problems;
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace troupe::tests
