#include "storage/corpus_documents.hpp"

#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "model/utf8.hpp"
#include "storage/big_endian.hpp"

namespace troupe::storage {

namespace {

// The catalogue: format, the corpus's version, and of each document its name, its content hash and how many sections it has.
constexpr char format_version = 1;
constexpr std::size_t hash_bytes_max = 64;

void append_field(std::string& bytes, std::string_view field) {
  append_big_endian(bytes, static_cast<std::uint32_t>(field.size()));
  bytes += field;
}

std::optional<std::uint32_t> take_number(std::string_view& bytes) {
  const auto number = read_big_endian<std::uint32_t>(bytes.substr(0, sizeof(std::uint32_t)));
  if (number) bytes.remove_prefix(sizeof(*number));
  return number;
}

std::optional<std::string> take_field(std::string_view& bytes, std::size_t bytes_max) {
  const auto size = take_number(bytes);
  if (!size || *size > bytes_max || *size > bytes.size()) return std::nullopt;
  std::string field(bytes.substr(0, *size));
  bytes.remove_prefix(*size);
  return field;
}

Put put_catalogue_record(const CataloguedCorpus& catalogued) {
  std::string catalogue(1, format_version);
  append_field(catalogue, catalogued.corpus.version);
  for (const policy::DocumentEntry& document : catalogued.documents) {
    append_field(catalogue, document.name);
    append_field(catalogue, document.content_hash);
    append_big_endian(catalogue, document.sections);
  }
  return {Column::corpus, std::string(Corpus::catalogue_key), std::move(catalogue)};
}

/// The documents that the store's catalogue names; none if it has no catalogue of this corpus.
Result<std::optional<std::vector<policy::DocumentEntry>>> read_catalogue(const Store& store, const Corpus& corpus) {
  TROUPE_TRY(const auto record, store.get(Column::corpus, Corpus::catalogue_key));
  std::string_view bytes = record ? std::string_view(*record) : std::string_view();
  if (bytes.empty() || bytes.front() != format_version) return std::nullopt;
  bytes.remove_prefix(1);
  const auto version = take_field(bytes, corpus.version.size());
  if (!version || *version != corpus.version) return std::nullopt;
  std::vector<policy::DocumentEntry> documents;
  std::size_t left = corpus.sections.size();
  while (!bytes.empty()) {
    auto name = take_field(bytes, Corpus::name_bytes_max);
    auto hash = name ? take_field(bytes, hash_bytes_max) : std::nullopt;
    const auto count = hash ? take_number(bytes) : std::nullopt;
    if (!count || *count > left) {
      return Error{ErrorCode::corrupt, "the catalogue of the stored corpus does not fit its sections; put the corpus again"};
    }
    left -= *count;
    documents.push_back({std::move(*name), std::move(*hash), *count});
  }
  if (left > 0) {
    return Error{ErrorCode::corrupt, "the catalogue of the stored corpus does not have all its sections; put the corpus again"};
  }
  return documents;
}

/// What stands in an index, a prompt and a terminal as one line.
Result<void> check_line(const std::string& text, const std::string& what) {
  if (const auto bad = model::find_invalid_utf8(text)) {
    return Error{ErrorCode::invalid_argument, what + " is not UTF-8 at byte " + std::to_string(*bad)};
  }
  if (const std::size_t end = text.find_first_of(std::string_view("\0\r\n", 3)); end != std::string::npos) {
    return Error{ErrorCode::invalid_argument, what + " ends a line at byte " + std::to_string(end) + ", expected one line"};
  }
  return {};
}

}  // namespace

Result<void> check_document(const Document& document) {
  TROUPE_TRY_DO(check_line(document.name, "the name of a document"));
  const std::string of = " of document " + document.name;
  if (document.name.size() > Corpus::name_bytes_max) {
    return Error{ErrorCode::too_large, "the name" + of + " has " + std::to_string(document.name.size()) +
                                           " bytes, expected at most " + std::to_string(Corpus::name_bytes_max)};
  }
  TROUPE_TRY_DO(check_line(document.content_hash, "the content hash" + of));
  if (document.content_hash.size() > hash_bytes_max) {
    return Error{ErrorCode::too_large, "the content hash" + of + " has " + std::to_string(document.content_hash.size()) +
                                           " bytes, expected at most " + std::to_string(hash_bytes_max)};
  }
  std::unordered_set<std::string_view> keys;
  for (const Section& section : document.sections) {
    TROUPE_TRY_DO(check_section(section));
    TROUPE_TRY_DO(check_line(section.key, "the key of a section" + of));
    TROUPE_TRY_DO(check_line(section.name, "the name of section " + section.key));
    TROUPE_TRY_DO(check_line(section.heading, "the heading of section " + section.key));
    TROUPE_TRY_DO(check_line(section.text, "the text of section " + section.key));
    if (!keys.insert(section.key).second) {
      return Error{ErrorCode::invalid_argument, "section " + section.key + " is there twice; number one of them anew"};
    }
  }
  return {};
}

CataloguedCorpus catalogued_by_keys(Corpus corpus) {
  CataloguedCorpus result{std::move(corpus), {}};
  for (const Section& section : result.corpus.sections) {
    std::string name = section.key.substr(0, section.key.find('#'));
    if (result.documents.empty() || result.documents.back().name != name) result.documents.push_back({std::move(name), "", 0});
    ++result.documents.back().sections;
  }
  return result;
}

Result<CataloguedCorpus> catalogued(std::vector<Document> documents) {
  CataloguedCorpus result;
  std::vector<Section> sections;
  for (Document& document : documents) {
    const auto count = static_cast<std::uint32_t>(document.sections.size());
    result.documents.push_back({std::move(document.name), std::move(document.content_hash), count});
    std::move(document.sections.begin(), document.sections.end(), std::back_inserter(sections));
  }
  TROUPE_TRY(result.corpus, make_corpus(std::move(sections)));
  return result;
}

std::vector<Document> documents_of(CataloguedCorpus catalogued) {
  std::vector<Document> documents;
  auto next = catalogued.corpus.sections.begin();
  for (policy::DocumentEntry& entry : catalogued.documents) {
    Document document{std::move(entry.name), std::move(entry.content_hash), {}};
    document.sections.assign(std::make_move_iterator(next), std::make_move_iterator(next + entry.sections));
    next += entry.sections;
    documents.push_back(std::move(document));
  }
  return documents;
}

Result<std::optional<CataloguedCorpus>> load_catalogued(const Store& store) {
  TROUPE_TRY(auto corpus, load_corpus(store));
  if (!corpus) return std::nullopt;
  TROUPE_TRY(auto documents, read_catalogue(store, *corpus));
  if (!documents) return catalogued_by_keys(*std::move(corpus));
  return CataloguedCorpus{*std::move(corpus), *std::move(documents)};
}

Result<std::vector<Document>> load_documents(const Store& store) {
  TROUPE_TRY(auto found, load_catalogued(store));
  return found ? documents_of(*std::move(found)) : std::vector<Document>();
}

std::vector<WriteBatch> put_catalogued(const CataloguedCorpus& catalogued) {
  auto batches = put_corpus(catalogued.corpus);
  batches.back().puts.push_back(put_catalogue_record(catalogued));
  return batches;
}

Result<std::vector<WriteBatch>> put_documents(std::vector<Document> documents) {
  TROUPE_TRY(const auto corpus, catalogued(std::move(documents)));
  return put_catalogued(corpus);
}

WriteBatch put_catalogue(const CataloguedCorpus& catalogued) { return {{put_catalogue_record(catalogued)}, std::nullopt}; }

Result<CataloguedCorpus> changed_corpus(CataloguedCorpus before, policy::CorpusChange change) {
  for (const Document& document : change.documents) TROUPE_TRY_DO(check_document(document));
  TROUPE_TRY(auto documents, policy::changed(documents_of(std::move(before)), std::move(change)));
  return catalogued(std::move(documents));
}

}  // namespace troupe::storage
