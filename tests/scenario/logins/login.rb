# login.rb bearer|basic URL: one request with Ruby's net/http; it reads SSL_CERT_FILE.
require 'net/http'

way, url = ARGV
uri = URI(url)
request = Net::HTTP::Get.new(uri)
if way == 'bearer'
  request['authorization'] = "Bearer #{ENV['API_TOKEN']}"
else
  request.basic_auth('octo', ENV['API_TOKEN'])
end
answer = Net::HTTP.start(uri.host, uri.port, use_ssl: true) { |http| http.request(request) }
if answer.is_a?(Net::HTTPSuccess)
  puts "#{answer.code} #{answer.body.strip}"
else
  puts "#{answer.code} #{answer.message}"
  exit 1
end
