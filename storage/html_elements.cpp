#include "storage/html_elements.hpp"

#include <algorithm>
#include <array>

namespace troupe::storage {

namespace {

using Name = std::string_view;

constexpr auto in_line =
    std::to_array<Name>({"a",     "abbr", "b",      "bdi",    "bdo", "big",   "cite", "code", "data", "del", "dfn",
                         "em",    "font", "i",      "ins",    "kbd", "label", "mark", "nobr", "q",    "s",   "samp",
                         "small", "span", "strike", "strong", "sub", "sup",   "time", "tt",   "u",    "var", "wbr"});
constexpr auto unseen =
    std::to_array<Name>({"applet", "audio", "canvas", "datalist", "del", "iframe", "math", "noembed", "noframes", "noscript",
                         "object", "script", "select", "style", "svg", "template", "textarea", "title", "video"});
constexpr auto text_only = std::to_array<Name>(
    {"iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"});
constexpr auto no_end = std::to_array<Name>({"area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img",
                                             "image", "input", "keygen", "link", "meta", "param", "source", "track", "wbr"});
constexpr auto closes_paragraph =
    std::to_array<Name>({"address",   "article", "aside",  "blockquote", "center",     "dd",     "details", "dialog", "dir",
                         "div",       "dl",      "dt",     "fieldset",   "figcaption", "figure", "footer",  "form",   "header",
                         "hgroup",    "hr",      "li",     "listing",    "main",       "menu",   "nav",     "ol",     "p",
                         "plaintext", "pre",     "search", "section",    "summary",    "table",  "ul",      "xmp"});
/// Special besides those that close a paragraph or end a scope, and headings.
constexpr auto special = std::to_array<Name>({"button", "colgroup", "tbody", "tfoot", "thead", "tr"});
constexpr auto scope =
    std::to_array<Name>({"applet", "caption", "marquee", "object", "select", "table", "td", "template", "th"});
constexpr auto row_groups = std::to_array<Name>({"tbody", "tfoot", "thead"});
/// Of a table, besides its groups, rows and cells.
constexpr auto table_parts = std::to_array<Name>({"caption", "col", "colgroup"});
/// Where HTML begins again in SVG and MathML.
constexpr auto html_in_foreign =
    std::to_array<Name>({"annotation-xml", "desc", "foreignobject", "mi", "mn", "mo", "ms", "mtext", "title"});
/// What no SVG or MathML has, so that these end before it; besides headings.
constexpr auto never_foreign = std::to_array<Name>(
    {"b",    "big",   "blockquote", "body",   "br",     "center",  "code", "dd",    "div",  "dl", "dt", "em",  "embed",
     "head", "hr",    "i",          "img",    "li",     "listing", "menu", "meta",  "nobr", "ol", "p",  "pre", "ruby",
     "s",    "small", "span",       "strike", "strong", "sub",     "sup",  "table", "tt",   "u",  "ul", "var"});

template <std::size_t size>
bool one_of(const std::array<Name, size>& names, Name name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

HtmlTraits traits_of(Name name) {
  HtmlTraits traits;
  if (name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6')
    traits.heading = static_cast<std::size_t>(name[1] - '0');
  traits.in_line = one_of(in_line, name);
  traits.unseen = one_of(unseen, name);
  traits.text_only = one_of(text_only, name);
  traits.no_end = one_of(no_end, name);
  traits.scope = one_of(scope, name);
  traits.closes_paragraph = traits.heading > 0 || one_of(closes_paragraph, name);
  traits.special = traits.scope || traits.closes_paragraph || one_of(special, name);
  return traits;
}

bool is_cell(Name name) { return name == "td" || name == "th"; }
bool is_of_table(Name name) { return is_cell(name) || name == "tr" || one_of(row_groups, name) || one_of(table_parts, name); }
bool is_struck(Name name) { return name == "s" || name == "strike"; }

}  // namespace

HtmlElements::HtmlElements() : open_(1) {}

HtmlElements::Known& HtmlElements::known(const std::string& name) {
  const auto [found, added] = known_.try_emplace(name);
  if (added) found->second = {found->first, traits_of(name), 0};
  return found->second;
}

void HtmlElements::start(const std::string& name, bool hidden, bool closes_itself) {
  Known& element = known(name);
  const HtmlTraits& traits = element.traits;
  if (foreign()) {
    if (traits.heading == 0 && !one_of(never_foreign, name)) {
      if (!closes_itself) push(name, element, hidden);
      return;
    }
    while (foreign()) close_to(depth() - 1);
  }
  if (name == "select" && element.last > 0) return close_to(element.last - 1);  // a second one is an end tag
  close_before(name, traits);
  if (is_struck(name)) {
    struck_ += unseen_ == 0 ? 1 : 0;
    return;
  }
  const bool misplaced = is_of_table(name) && open_.back().table == 0;  // such a tag is passed over
  const bool ends_at_once = closes_itself && (name == "svg" || name == "math");
  if (!traits.no_end && !misplaced && !ends_at_once) push(name, element, hidden);
}

void HtmlElements::end(const std::string& name) {
  // What is struck out is so until its own end, whatever else ends before it, but for the table cell that it is in.
  if (is_struck(name) && !foreign()) {
    if (unseen_ == 0 && struck_ > open_[open_.back().scope].struck) --struck_;
    return;
  }
  if (const std::size_t place = closed_by(name, known(name)); place > 0) close_to(place - 1);
}

void HtmlElements::close_before(const std::string& name, const HtmlTraits& traits) {
  const Open& top = open_.back();
  if (is_of_table(name) && top.table > 0) {
    return close_to(is_cell(name) ? top.row : name == "tr" ? top.group : top.table);
  }
  const Name item = top.item > 0 ? open_[top.item].known->name : Name();
  const bool defines = name == "dd" || name == "dt";
  if ((name == "li" && item == "li") || (defines && (item == "dd" || item == "dt"))) close_to(top.item - 1);
  if (traits.closes_paragraph && open_.back().paragraph > 0) close_to(open_.back().paragraph - 1);
  if (traits.heading > 0 && open_.back().heading == depth() && depth() > 0) close_to(depth() - 1);
  if (name == "a" || name == "button" || name == "option") {
    if (const std::size_t place = closed_by(name, known(name)); place > 0) close_to(place - 1);
  }
}

void HtmlElements::push(const std::string& name, Known& element, bool hidden) {
  const HtmlTraits& traits = element.traits;
  Open open = open_.back();  // what is innermost stays so, but for what this one is
  const auto place = static_cast<std::uint32_t>(open_.size());
  open.known = &element;
  open.same = element.last;
  open.struck = struck_;
  open.foreign = name == "svg" || name == "math" || (open.foreign && !one_of(html_in_foreign, name));
  open.unseen = hidden || traits.unseen;
  if (traits.special) open.special = place;
  if (traits.special && name != "address" && name != "div" && name != "p") open.item = place;
  if (traits.scope) {
    open.scope = place;
    open.paragraph = open.heading = 0;
  }
  if (name == "p") open.paragraph = place;
  if (traits.heading > 0) open.heading = place;
  const bool table = name == "table" || name == "template";
  if (table) open.table = place;
  if (table || one_of(row_groups, name)) open.group = place;
  if (open.group == place || name == "tr") open.row = place;
  element.last = place;
  unseen_ += open.unseen ? 1 : 0;
  open_.push_back(open);
}

void HtmlElements::close_to(std::size_t depth_wanted) {
  while (depth() > depth_wanted) {
    const Open& open = open_.back();
    open.known->last = open.same;
    unseen_ -= open.unseen ? 1 : 0;
    if (open.known->traits.scope) struck_ = open.struck;
    open_.pop_back();
  }
}

std::size_t HtmlElements::closed_by(const std::string& name, const Known& element) const {
  const Open& top = open_.back();
  if (element.traits.heading > 0) return top.heading;  // "<h2>...</h3>" is closed, too
  if (element.traits.unseen && name != "del") return element.last;
  if (name == "table") return element.last == top.table ? element.last : 0;
  if (is_of_table(name)) return element.last > top.table ? element.last : 0;
  const std::uint32_t fence = element.traits.special ? top.scope : top.special;
  return element.last > fence || (element.traits.scope && element.last == fence) ? element.last : 0;
}

}  // namespace troupe::storage
