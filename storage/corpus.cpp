#include "storage/corpus.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "model/digest.hpp"
#include "storage/big_endian.hpp"

namespace troupe::storage {

namespace {

constexpr auto column = Column::corpus;
constexpr char format_version = 2;
constexpr char format_without_headings = 1;  // still read
/// Names the version that holds. Versions are hexadecimal, so no section's key is equal to it.
constexpr std::string_view current_key = "current";
constexpr std::size_t version_digits = 16;
constexpr std::size_t piece_bytes = std::size_t{1} << 20;
constexpr std::size_t page_keys = 128;
constexpr std::size_t forgotten_keys = 4096;  // of one batch

/// A corpus without any heading has the version that it had when sections had none.
std::string version_of(const std::vector<Section>& sections) {
  const bool headings = std::any_of(sections.begin(), sections.end(), [](const Section& s) { return !s.heading.empty(); });
  model::Sha256 sha;
  sha.add_u64(sections.size());
  if (headings) sha.add_u64(~std::uint64_t{0});  // no text is as long as this says
  for (const Section& section : sections) {
    sha.add_text(section.key);
    sha.add_text(section.name);
    sha.add_text(section.text);
    if (headings) sha.add_text(section.heading);
  }
  return model::to_hex(sha.finish()).substr(0, version_digits);
}

std::string prefix_of(std::string_view version) { return std::string(version) + "/"; }

void append_field(std::string& bytes, std::string_view field) {
  append_big_endian(bytes, static_cast<std::uint32_t>(field.size()));
  bytes += field;
}

/// Takes a field off the front of `bytes`.
std::optional<std::string> take_field(std::string_view& bytes, std::size_t bytes_max) {
  const auto size = read_big_endian<std::uint32_t>(bytes.substr(0, sizeof(std::uint32_t)));
  if (!size || *size > bytes_max || *size > bytes.size() - sizeof(*size)) return std::nullopt;
  std::string field(bytes.substr(sizeof(*size), *size));
  bytes.remove_prefix(sizeof(*size) + *size);
  return field;
}

std::string encode(const Section& section) {
  std::string bytes(1, format_version);
  append_field(bytes, section.key);
  append_field(bytes, section.name);
  append_field(bytes, section.text);
  append_field(bytes, section.heading);
  return bytes;
}

/// Under which a section stands, by its place in its corpus.
std::string key_of(const Corpus& corpus, std::uint32_t place) {
  std::string key = prefix_of(corpus.version);
  append_big_endian(key, place);
  return key;
}

Error damaged(const std::string& what) {
  return {ErrorCode::corrupt,
          "the stored corpus: " + what + "; put the corpus again from its documents (troupe node --corpus)"};
}

Result<void> check_format(std::string_view bytes) {
  if (bytes.empty()) return damaged("an empty record");
  if (bytes.front() == format_version || bytes.front() == format_without_headings) return {};
  return damaged("format " + std::to_string(static_cast<unsigned char>(bytes.front())) + ", expected " +
                 std::to_string(format_version));
}

Result<Section> decode(std::string_view bytes) {
  TROUPE_TRY_DO(check_format(bytes));
  const bool has_heading = bytes.front() != format_without_headings;
  bytes.remove_prefix(1);
  auto key = take_field(bytes, Corpus::name_bytes_max);
  auto name = key ? take_field(bytes, Corpus::name_bytes_max) : std::nullopt;
  auto text = name ? take_field(bytes, Corpus::text_bytes_max) : std::nullopt;
  auto heading = text && has_heading ? take_field(bytes, Corpus::name_bytes_max) : std::string();
  if (!text || !heading || !bytes.empty()) return damaged("a section whose fields do not fill its record");
  return Section{std::move(*key), std::move(*name), std::move(*text), std::move(*heading)};
}

struct Current {
  std::string version;
  std::uint32_t sections = 0;
};

Result<std::optional<Current>> current_of(const Store& store) {
  TROUPE_TRY(const auto record, store.get(column, current_key));
  if (!record) return std::optional<Current>();
  std::string_view bytes = *record;
  TROUPE_TRY_DO(check_format(bytes));
  bytes.remove_prefix(1);
  auto version = take_field(bytes, version_digits);
  const auto sections = read_big_endian<std::uint32_t>(bytes);
  if (!version || version->size() != version_digits || !sections || *sections > Corpus::sections_max) {
    return damaged("a record of " + std::to_string(record->size()) + " bytes that names no version");
  }
  return std::optional<Current>(Current{std::move(*version), *sections});
}

}  // namespace

Result<void> check_section(const Section& section) {
  const auto number = [](std::size_t value) { return std::to_string(value); };
  if (section.key.empty()) return Error{ErrorCode::invalid_argument, "a section named \"" + section.name + "\" has no key"};
  const std::size_t longest = std::max({section.key.size(), section.name.size(), section.heading.size()});
  if (longest > Corpus::name_bytes_max) {
    return Error{ErrorCode::too_large, "a section has a key of " + number(section.key.size()) + " bytes, a name of " +
                                           number(section.name.size()) + " and a heading of " + number(section.heading.size()) +
                                           ", expected at most " + number(Corpus::name_bytes_max) +
                                           "; shorten its title or heading"};
  }
  if (section.text.size() > Corpus::text_bytes_max) {
    return Error{ErrorCode::too_large, "section " + section.key + " has " + number(section.text.size()) +
                                           " bytes, expected at most " + number(Corpus::text_bytes_max) +
                                           "; divide it by headings"};
  }
  return {};
}

Result<Corpus> make_corpus(std::vector<Section> sections) {
  const auto number = [](std::size_t value) { return std::to_string(value); };
  if (sections.size() > Corpus::sections_max) {
    return Error{ErrorCode::too_large,
                 "the corpus has " + number(sections.size()) + " sections, expected at most " + number(Corpus::sections_max)};
  }
  std::unordered_set<std::string_view> keys;
  std::size_t bytes = 0;
  for (const Section& section : sections) {
    TROUPE_TRY_DO(check_section(section));
    if (!keys.insert(section.key).second) {
      return Error{ErrorCode::invalid_argument, "section " + section.key + " is there twice; number one of them anew"};
    }
    bytes += section.key.size() + section.name.size() + section.heading.size() + section.text.size();
  }
  if (bytes > Corpus::bytes_max) {
    return Error{ErrorCode::too_large,
                 "the corpus has " + number(bytes) + " bytes, expected at most " + number(Corpus::bytes_max)};
  }
  std::string version = version_of(sections);
  return Corpus{std::move(version), std::move(sections)};
}

std::vector<WriteBatch> put_corpus(const Corpus& corpus) {
  std::vector<WriteBatch> batches(1);
  std::size_t bytes = 0;
  std::uint32_t place = 0;
  for (const Section& section : corpus.sections) {
    std::string key = key_of(corpus, place++);
    std::string record = encode(section);
    bytes += key.size() + record.size();
    if (bytes > piece_bytes && !batches.back().puts.empty()) {
      batches.emplace_back();
      bytes = key.size() + record.size();
    }
    batches.back().puts.push_back({column, std::move(key), std::move(record)});
  }
  std::string current(1, format_version);
  append_field(current, corpus.version);
  append_big_endian(current, place);
  batches.push_back({{{column, std::string(current_key), std::move(current)}}, std::nullopt});
  return batches;
}

Result<std::optional<Corpus>> load_corpus(const Store& store) {
  TROUPE_TRY(const auto current, current_of(store));
  if (!current) return std::optional<Corpus>();
  std::vector<Section> sections;
  const std::string end = end_of_prefix(prefix_of(current->version));
  for (std::string begin = prefix_of(current->version);;) {
    TROUPE_TRY(const auto page, store.scan(column, begin, end, page_keys));
    for (const auto& [key, record] : page) {
      if (sections.size() == current->sections)
        return damaged("more than the " + std::to_string(sections.size()) + " sections");
      TROUPE_TRY(auto section, decode(record));
      sections.push_back(std::move(section));
    }
    if (page.size() < page_keys) break;
    begin = page.back().first + '\0';
  }
  if (sections.size() != current->sections) {
    return damaged(std::to_string(sections.size()) + " sections, expected " + std::to_string(current->sections));
  }
  TROUPE_TRY(auto corpus, make_corpus(std::move(sections)));
  if (corpus.version != current->version) {
    return damaged("its sections have version " + corpus.version + ", expected " + current->version);
  }
  return std::optional<Corpus>(std::move(corpus));
}

Result<std::vector<WriteBatch>> forget_other_corpora(const Store& store) {
  TROUPE_TRY(const auto current, current_of(store));
  const std::string kept = current ? prefix_of(current->version) : std::string();
  std::vector<WriteBatch> batches;
  const std::string end = end_of_prefix("f");  // versions are hexadecimal
  for (std::string begin;;) {
    TROUPE_TRY(const auto page, store.scan(column, begin, end, page_keys));
    WriteBatch batch;
    for (const auto& [key, record] : page) {
      const bool keep = key == current_key || key == Corpus::catalogue_key || (current && key.starts_with(kept));
      if (!keep) batch.puts.push_back({column, key, std::nullopt});
    }
    if (!batch.puts.empty()) batches.push_back(std::move(batch));
    if (page.size() < page_keys) return batches;
    begin = page.back().first + '\0';
  }
}

std::vector<WriteBatch> forget_corpus(const Corpus& corpus) {
  std::vector<WriteBatch> batches;
  for (std::uint32_t place = 0; place < corpus.sections.size(); ++place) {
    if (place % forgotten_keys == 0) batches.emplace_back();
    batches.back().puts.push_back({column, key_of(corpus, place), std::nullopt});
  }
  return batches;
}

}  // namespace troupe::storage
